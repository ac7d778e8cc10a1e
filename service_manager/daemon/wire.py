"""Errors of this package as JSON, and back: a client raises what the daemon raised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service_manager.errors import (
    ConfigError,
    DaemonError,
    InstallError,
    LimitReached,
    LockError,
    NoSwap,
    PlatformError,
    ServiceCrashed,
    ServiceManagerError,
    ServiceStartFailed,
    ServiceUnavailable,
    SleepFailed,
    UnknownService,
)

_PLAIN: Mapping[str, type[ServiceManagerError]] = {
    kind.__name__: kind
    for kind in (
        InstallError,
        LimitReached,
        LockError,
        NoSwap,
        ServiceCrashed,
        ServiceUnavailable,
        SleepFailed,
    )
}


def error_to_json(error: ServiceManagerError) -> dict[str, Any]:
    """An error as it is sent: ``error`` (its class), ``tried``, ``next_step``, and what its class adds."""
    value: dict[str, Any] = {
        "error": type(error).__name__,
        "tried": error.tried,
        "next_step": error.next_step,
    }
    match error:
        case UnknownService():
            value |= {"name": error.name, "nearest": list(error.nearest)}
        case ConfigError():
            value["problems"] = list(error.problems)
        case ServiceStartFailed():
            value["stderr_tail"] = list(error.stderr_tail)
        case PlatformError():
            value["status"] = error.status
        case _:
            pass
    return value


def error_from_json(value: Mapping[str, Any]) -> ServiceManagerError:
    """The error that was sent; a kind this version does not know is a DaemonError."""
    tried, next_step = str(value.get("tried", "")), str(value.get("next_step", ""))
    match value.get("error"):
        case "UnknownService":
            return UnknownService(str(value.get("name", "")), _words(value.get("nearest")))
        case "ConfigError":
            return ConfigError(tried, next_step, _words(value.get("problems")))
        case "ServiceStartFailed":
            return ServiceStartFailed(tried, next_step, _words(value.get("stderr_tail")))
        case "PlatformError":
            status = value.get("status")
            return PlatformError(tried, next_step, status if isinstance(status, int) else 0)
        case kind:
            return _PLAIN.get(str(kind), DaemonError)(tried, next_step)


def _words(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # JSON
