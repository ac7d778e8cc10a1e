"""The control API: what is known of services, and what can be done with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from service_manager.daemon.managed import Managed
from service_manager.daemon.metrics import CONTENT_TYPE, exposition
from service_manager.daemon.openapi import document
from service_manager.daemon.routes import Answer, Asked, Parameter, Route, Table, endpoint_path
from service_manager.daemon.view import Json, check_view, status_view
from service_manager.errors import (
    ConfigError,
    DaemonError,
    InstallError,
    LimitReached,
    LockError,
    ServiceManagerError,
    ServiceStartFailed,
    ServiceUnavailable,
    SleepFailed,
    UnknownService,
)
from service_manager.lifecycle.changes import Changes
from service_manager.status import ServiceStatus

LOG_LINES = 100
"""How many lines `logs` gives when it is not told."""

_STATUS: Mapping[type[ServiceManagerError], HTTPStatus] = {
    UnknownService: HTTPStatus.NOT_FOUND,
    DaemonError: HTTPStatus.BAD_REQUEST,
    ConfigError: HTTPStatus.UNPROCESSABLE_ENTITY,
    LockError: HTTPStatus.CONFLICT,
    SleepFailed: HTTPStatus.CONFLICT,
    ServiceUnavailable: HTTPStatus.CONFLICT,
    InstallError: HTTPStatus.BAD_GATEWAY,
    ServiceStartFailed: HTTPStatus.BAD_GATEWAY,
    LimitReached: HTTPStatus.SERVICE_UNAVAILABLE,
}

_NOT_FOUND = (HTTPStatus.NOT_FOUND,)
_STARTS = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)


def status_of(error: ServiceManagerError) -> HTTPStatus:
    """The HTTP status of an error."""
    return _STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)


class Control:
    """The control API of one daemon.

    Args:
        manager: what is controlled.
        identity: what `health` says besides: ``pid`` and ``instance``.
        reload: reads the files again and gives what changed.
        end: begins to end the daemon; returns at once.
        usage: what the services and the machine use (see `monitor.snapshot`).

    Attributes:
        table: its routes.
        ready: whether it serves.
    """

    def __init__(
        self,
        manager: Managed,
        identity: Mapping[str, Any],
        reload: Callable[[], Awaitable[Changes]],
        end: Callable[[], None],
        usage: Callable[[], Awaitable[Json]],
    ) -> None:
        self._manager = manager
        self._identity = dict(identity)
        self._reload = reload
        self._end = end
        self._usage = usage
        self.ready = False
        self.table = Table(self._routes())

    def _routes(self) -> tuple[Route, ...]:
        name = "/services/{name}"
        actions = {
            "start": ("Start a service; it runs when this is answered.", self._manager.start, _STARTS),
            "stop": ("Stop a service.", self._manager.stop, _NOT_FOUND),
            "sleep": ("Put a service to sleep.", self._manager.sleep, (*_NOT_FOUND, HTTPStatus.CONFLICT)),
            "wake": ("Wake a service; it runs when this is answered.", self._manager.wake, _STARTS),
        }
        lines = (
            Parameter("lines", f"At most so many; {LOG_LINES} by default."),
            Parameter("since", "Only what was written since `written` stood at this value."),
        )
        bad_log = (*_NOT_FOUND, HTTPStatus.BAD_REQUEST)
        bad_file = (HTTPStatus.UNPROCESSABLE_ENTITY,)
        return (
            Route("GET", "/services", "listServices", "Every service.", "Services", self._services),
            Route("GET", name, "getService", "One service.", "Service", self._service, _NOT_FOUND),
            *(
                Route(
                    "POST", f"{name}/{action}", f"{action}Service", summary, "Service", self._do(verb), fails
                )
                for action, (summary, verb, fails) in actions.items()
            ),
            Route(
                "GET",
                f"{name}/logs",
                "getLogs",
                "What a service wrote to stderr.",
                "Logs",
                self._logs,
                bad_log,
                lines,
            ),
            Route("GET", "/check", "checkServices", "Whether every service is well.", "Checks", self._check),
            Route("GET", "/usage", "getUsage", "What the services use.", "Usage", self._used),
            Route(
                "POST",
                "/reload",
                "reload",
                "Read services.yml and resource-limits.yml again; only what changed restarts.",
                "Changes",
                self._reloaded,
                bad_file,
            ),
            Route(
                "POST", "/shutdown", "shutdown", "End the daemon and its services.", "Ending", self._ending
            ),
            Route("GET", "/health", "getHealth", "Whether the daemon lives.", "Health", self._health),
            Route(
                "GET",
                "/ready",
                "getReady",
                "Whether the daemon serves.",
                "Ready",
                self._readiness,
                (HTTPStatus.SERVICE_UNAVAILABLE,),
            ),
            Route("GET", "/metrics", "getMetrics", "What Prometheus reads.", "", self._metrics),
            Route("GET", "/openapi.json", "getOpenApi", "This document.", "OpenAPI", self._document),
        )

    async def _services(self, asked: Asked) -> Answer:
        return Answer({"services": [_service(status) for status in self._manager.status()]})

    async def _service(self, asked: Asked) -> Answer:
        return Answer(_service(self._manager.one(asked.names["name"])))

    def _do(self, verb: Callable[[str], Awaitable[None]]) -> Callable[[Asked], Awaitable[Answer]]:
        async def act(asked: Asked) -> Answer:
            await verb(asked.names["name"])
            return await self._service(asked)

        return act

    async def _logs(self, asked: Asked) -> Answer:
        journal = self._manager.journal(asked.names["name"])
        lines = _number(asked, "lines", LOG_LINES)
        since = _number(asked, "since", 0)
        new = min(lines, journal.written - since)
        return Answer({"lines": list(journal.tail(new)), "written": journal.written})

    async def _check(self, asked: Asked) -> Answer:
        checks = await self._manager.check()
        return Answer({"ok": all(check.ok for check in checks), "services": [check_view(c) for c in checks]})

    async def _used(self, asked: Asked) -> Answer:
        return Answer(await self._usage())

    async def _reloaded(self, asked: Asked) -> Answer:
        return Answer(asdict(await self._reload()))

    async def _ending(self, asked: Asked) -> Answer:
        self._end()
        return Answer({"ending": True})

    async def _health(self, asked: Asked) -> Answer:
        return Answer({"status": "ok", **self._identity})

    async def _readiness(self, asked: Asked) -> Answer:
        status = HTTPStatus.OK if self.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer({"ready": self.ready}, status)

    async def _metrics(self, asked: Asked) -> Answer:
        return Answer(exposition(self._manager.status()), content_type=CONTENT_TYPE)

    async def _document(self, asked: Asked) -> Answer:
        return Answer(document(self.table.routes, _version()))


def _service(status: ServiceStatus) -> Json:
    return {**status_view(status), "endpoint": endpoint_path(status.name)}


def _number(asked: Asked, name: str, default: int) -> int:
    text = asked.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()):
        raise DaemonError(f"`{name}={text}` is not a number.", f"Leave it out, or give {name} as a number.")
    return int(text)


def _version() -> str:
    try:
        return version("mcp-tool-router")
    except PackageNotFoundError:
        return "0"
