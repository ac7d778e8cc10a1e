"""The embedded gateway: the services of services.yml, run by service_manager, called directly."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import structlog
from mcp import MCPError
from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND, CallToolResult

from service_manager.assembly import manager_of
from service_manager.config import load_services
from service_manager.errors import (
    InstallError,
    LockError,
    ServiceCrashed,
    ServiceManagerError,
    ServiceUnavailable,
    UnknownService,
)
from service_manager.lock import Lock, load_lock
from service_manager.manager import ServiceManager
from service_manager.model import ServiceSpec
from service_manager.needs import unavailable_reason
from service_manager.paths import services_file
from service_manager.session import ServiceSession
from tool_router.catalog.model import Tool
from tool_router.errors import GatewayError, GatewayRejected, ToolUnavailable, UpstreamFailed
from tool_router.gateway.embedded_tools import live_tool, locked_tool, same_but_for_words
from tool_router.gateway.protocol import Health, Progress

LIST_S = 30.0
"""How long a service without a lock entry may take to list its tools, its start included."""


class EmbeddedGateway:
    """Lists tools from the lock, and calls them through the service manager.

    Args:
        key: identifies the services file.
        specs: its services.
        lock: their locked tools; a service without an entry is started once to list its tools.
        manager: runs them; opened with the gateway.
        environ: where needs are looked for.
    """

    def __init__(
        self,
        key: str,
        specs: Sequence[ServiceSpec],
        lock: Lock,
        manager: ServiceManager,
        environ: Mapping[str, str],
    ) -> None:
        self.key = key
        self._specs = tuple(spec for spec in specs if spec.enabled)
        self._lock = lock
        self.manager = manager
        self._environ = environ
        self._live: dict[str, tuple[Tool, ...]] = {}
        self._verified: set[str] = set()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._log = structlog.get_logger()

    def open(self) -> AbstractAsyncContextManager[None]:
        """Run services on demand while the block is held."""
        return self._open()

    async def list_tools(self) -> Sequence[Tool]:
        """Every tool of every service; nothing is installed, and only unlocked services are started."""
        listed: dict[str, tuple[Tool, ...]] = {}

        async def read(spec: ServiceSpec) -> None:
            listed[spec.name] = await self._tools_of(spec)

        async with anyio.create_task_group() as tasks:
            for spec in self._specs:
                tasks.start_soon(read, spec)
        return [tool for spec in self._specs for tool in listed[spec.name]]

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        """Call a tool, starting its service (and installing it) first where needed.

        Raises:
            GatewayError: the service could not be started, died, or refused the request.
        """
        try:
            async with self.manager.lease(tool.server, progress) as session:
                result = await session.call_tool(tool.call_name or tool.name, arguments, progress)
        except ServiceManagerError as error:
            raise _gateway_error(tool, error) from error
        except MCPError as error:
            said = f"{tool.id} answered {error.code}: {error.message}"
            if error.code in (INVALID_PARAMS, METHOD_NOT_FOUND):
                raise GatewayRejected(400, said, "Check the arguments against the tool's schema.") from error
            raise UpstreamFailed(said, "See the service's own message.") from error
        if self._tasks is not None and tool.server not in self._verified:
            self._verified.add(tool.server)
            self._tasks.start_soon(self._verify, tool.server)
        return result

    async def check(self) -> Health:
        """How many services can run here."""
        missing = [spec.name for spec in self._specs if unavailable_reason(spec, self._environ)]
        if not self._specs:
            return Health(False, "services.yml lists no service.", "Add one; see config/services.yml.")
        able = len(self._specs) - len(missing)
        without = f"; without what they need: {', '.join(missing)}" if missing else ""
        return Health(able > 0, f"{able} of {len(self._specs)} services can run here{without}.")

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None]:
        async with self.manager.open(), anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None
                tasks.cancel_scope.cancel()

    async def _tools_of(self, spec: ServiceSpec) -> tuple[Tool, ...]:
        if spec.name in self._live:
            return self._live[spec.name]
        reason = unavailable_reason(spec, self._environ)
        locked = self._lock.for_spec(spec)
        if locked is not None:
            return tuple(locked_tool(spec.name, tool, reason) for tool in locked.tools)
        if reason:
            return ()
        try:
            with anyio.fail_after(LIST_S):
                async with self.manager.lease(spec.name) as session:
                    return await self._read(spec.name, session)
        except (ServiceManagerError, MCPError, TimeoutError) as error:
            self._log.warning("service_not_listed", service=spec.name, error=str(error))
            return ()

    async def _verify(self, name: str) -> None:
        """Compare what a started service offers with the lock; the live list wins where it differs."""
        try:
            with anyio.fail_after(LIST_S):
                async with self.manager.lease(name) as session:
                    live = await self._read(name, session)
        except (ServiceManagerError, MCPError, TimeoutError) as error:
            self._log.debug("service_not_verified", service=name, error=str(error))
            return
        spec = next(spec for spec in self._specs if spec.name == name)
        entry = self._lock.for_spec(spec)
        if entry is None:
            return
        locked = tuple(locked_tool(name, tool, "") for tool in entry.tools)
        if same_but_for_words(locked, live):
            # A person reviewed the lock's words; others, such as the machine's time zone, would look like a
            # tool that changed.
            self._live[name] = locked
        else:
            self._log.warning("service_differs_from_lock", service=name, next_step="service-manager lock")

    async def _read(self, name: str, session: ServiceSession) -> tuple[Tool, ...]:
        live = tuple(live_tool(name, tool) for tool in await session.list_tools())
        self._live[name] = live
        return live


def build_embedded(file: Path | None, environ: Mapping[str, str]) -> EmbeddedGateway:
    """The embedded gateway of a services.yml.

    Raises:
        ConfigError: of service_manager; services.yml is wrong.
        LockError: the lock file can't be understood.
    """
    path = services_file(file, environ)
    specs = load_services(path, environ)
    return EmbeddedGateway(f"embedded:{path}", specs, load_lock(path), manager_of(path, environ), environ)


def _gateway_error(tool: Tool, error: ServiceManagerError) -> GatewayError:
    match error:
        case ServiceUnavailable() | UnknownService() | LockError() | InstallError():
            return ToolUnavailable(error.tried, error.next_step)
        case ServiceCrashed():
            return UpstreamFailed(error.tried, error.next_step)
        case _:
            failure = UpstreamFailed(error.tried, error.next_step)
            failure.reached_tool = False
            return failure
