"""Errors that travel: what a client raises is what the daemon raised."""

from __future__ import annotations

import json

import pytest

from service_manager import errors
from service_manager.daemon.wire import error_from_json, error_to_json
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

ERRORS = [
    ConfigError("services.yml:3: no.", "Do.", ("services.yml:3: no.", "services.yml:9: neither.")),
    DaemonError("no", "do"),
    InstallError("no", "do"),
    LimitReached("no", "do"),
    LockError("no", "do"),
    NoSwap("no", "do"),
    PlatformError("no", "do", 409),
    ServiceCrashed("no", "do"),
    ServiceStartFailed("no", "do", ("line 1", "line 2")),
    ServiceUnavailable("no", "do"),
    SleepFailed("no", "do"),
    UnknownService("tiem", ("time",)),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_arrives_as_it_was_sent(error: ServiceManagerError) -> None:
    arrived = error_from_json(json.loads(json.dumps(error_to_json(error))))
    assert type(arrived) is type(error)
    assert vars(arrived) == vars(error)
    assert str(arrived) == str(error)


def test_every_kind_of_error_is_told_apart() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    known = {kind for kind in kinds if issubclass(kind, ServiceManagerError)} - {ServiceManagerError}
    assert {type(error) for error in ERRORS} == known


@pytest.mark.parametrize(
    "value",
    [{}, {"error": "Novel", "tried": "x"}, {"error": "UnknownService", "nearest": 3}, {"error": None}],
)
def test_what_is_not_understood_is_still_an_error(value: dict[str, object]) -> None:
    assert isinstance(error_from_json(value), ServiceManagerError)
