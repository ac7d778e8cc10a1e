"""Services of a daemon while there is one to use, and of this process otherwise."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import structlog
from mcp.types import CallToolResult
from mcp.types import Tool as WireTool

from service_manager.daemon.client import ensure_daemon, find_daemon
from service_manager.errors import DaemonError, ServiceManagerError
from service_manager.model import ServiceSpec
from service_manager.policy.rules import ResourceRules
from tool_router.catalog.model import Tool
from tool_router.gateway.daemon_services import DaemonServices
from tool_router.gateway.protocol import Progress
from tool_router.gateway.services import Services

START_WITHIN_S = 15.0
"""How long a daemon may take to serve; it takes about one second."""


@dataclass(eq=False)
class _Host:
    """Services that are open, and when they are to be closed."""

    services: Services
    replaced: anyio.Event = field(default_factory=anyio.Event)


class SharedServices:
    """See `services.Services`. A call that found no daemon was not sent, and is made once more elsewhere.

    Args:
        file: the services.yml; each has a daemon of its own.
        environ: the environment a daemon is started with.
        local: the services of this process, not open; opened when no daemon can be used, and used from then
            on.
        start: whether a daemon is started when none runs.
    """

    def __init__(self, file: Path, environ: Mapping[str, str], local: Services, *, start: bool) -> None:
        self._file = file
        self._environ = environ
        self._local = local
        self._start = start
        self._used: _Host | None = None
        self._choice: anyio.Event | None = None
        self._error: ServiceManagerError | None = None
        self._wanted: tuple[Sequence[ServiceSpec], ResourceRules] | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        self._log = structlog.get_logger()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Look for a daemon that runs, without waiting for it; one is only started when it is needed."""
        async with anyio.create_task_group() as self._tasks:
            if not self._start:
                self._choose_soon(None)
            try:
                yield
            finally:
                self._tasks.cancel_scope.cancel()
        self._tasks = self._used = self._choice = None

    async def tools(self, name: str) -> Sequence[WireTool]:
        """See `Services.tools`."""
        used = await self._use()
        try:
            return await used.services.tools(name)
        except DaemonError as error:
            return await (await self._instead(used, error)).tools(name)

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        """See `Services.call`."""
        used = await self._use()
        try:
            return await used.services.call(tool, arguments, progress)
        except DaemonError as error:
            return await (await self._instead(used, error)).call(tool, arguments, progress)

    def expect(self, names: Sequence[str]) -> None:
        """See `Services.expect`."""
        if self._used is not None:
            self._used.services.expect(names)
        elif self._tasks is not None:
            self._tasks.start_soon(self._expect, names)

    async def apply(self, specs: Sequence[ServiceSpec], rules: ResourceRules) -> None:
        """See `Services.apply`."""
        self._wanted = specs, rules
        if self._used is not None:
            await self._used.services.apply(specs, rules)

    async def _instead(self, used: _Host, error: DaemonError) -> Services:
        """What takes the place of a daemon that is gone."""
        if used.services is self._local:
            raise error
        if self._used is used and self._choice is None:
            self._log.warning("daemon_gone", reason=error.tried)
        return (await self._use(gone=used)).services

    async def _expect(self, names: Sequence[str]) -> None:
        try:
            (await self._use()).services.expect(names)
        except ServiceManagerError as error:
            self._log.debug("services_not_woken", reason=str(error))

    async def _use(self, gone: _Host | None = None) -> _Host:
        """What runs the services now; chosen first where that is open, or where it is gone.

        Raises:
            ServiceManagerError: neither a daemon nor this process can.
        """
        while self._used is None or self._used is gone:
            choice = self._choice or self._choose_soon(gone)
            await choice.wait()
            if self._error is not None:
                raise self._error
        return self._used

    def _choose_soon(self, gone: _Host | None) -> anyio.Event:
        """Choose in a task of its own: a caller that is cancelled leaves the others their choice."""
        assert self._tasks is not None, "services are not open"
        self._choice = anyio.Event()
        self._tasks.start_soon(self._choose, gone, self._choice)
        return self._choice

    async def _choose(self, gone: _Host | None, made: anyio.Event) -> None:
        assert self._tasks is not None
        # What callers hear who wait still when everything ends.
        self._error = ServiceManagerError("Not called: the router is ending.")
        try:
            host = _Host(await self._found() or self._local)
            await self._tasks.start(self._live, host)
            self._used, self._error = host, None
            if gone is not None:
                gone.replaced.set()
        except ServiceManagerError as error:
            self._error = error
        finally:
            self._choice = None
            made.set()

    async def _found(self) -> DaemonServices | None:
        try:
            if self._start:
                address = await ensure_daemon(self._file, self._environ, START_WITHIN_S)
            else:
                address = await find_daemon(self._file, self._environ)
        except DaemonError as error:
            self._log.warning("services_run_in_process", reason=str(error))
            return None
        if address is None:
            return None
        self._log.info("daemon_used", pid=address.pid)
        return DaemonServices(address)

    async def _live(
        self, host: _Host, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Hold services open until others take their place, or everything ends."""
        async with host.services.open():
            if self._wanted is not None and host.services is self._local:
                await self._local.apply(*self._wanted)
            task_status.started()
            await host.replaced.wait()
