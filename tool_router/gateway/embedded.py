"""The embedded gateway: the services of services.yml, run by service_manager here or in a daemon."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.abc
import structlog
from mcp import MCPError
from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND, CallToolResult

from service_manager.assembly import manager_of
from service_manager.config.limits import load_limits
from service_manager.config.lock import Lock, load_lock
from service_manager.config.needs import unavailable_reason
from service_manager.config.services import load_services
from service_manager.errors import (
    InstallError,
    LockError,
    ServiceCrashed,
    ServiceManagerError,
    ServiceUnavailable,
    UnknownService,
)
from service_manager.filewatch import on_change, state_of
from service_manager.model import ServiceSpec
from service_manager.paths import limits_file, lock_file, services_file
from service_manager.policy.rules import ResourceRules
from tool_router.catalog.model import Tool
from tool_router.errors import GatewayError, GatewayRejected, ToolUnavailable, UpstreamFailed
from tool_router.gateway.embedded_tools import live_tool, locked_tool, same_but_for_words
from tool_router.gateway.protocol import Health, Progress
from tool_router.gateway.services import LocalServices, Services

LIST_S = 30.0
"""How long a service without a lock entry may take to list its tools, its start included."""


DaemonUse = Literal["auto", "shared", "off"]
"""See `services.daemon` of router.yml."""


class EmbeddedGateway:
    """Lists tools from the lock, and calls them through whoever runs the services.

    Args:
        key: identifies the services file.
        specs: its services.
        lock: their locked tools; a service without an entry is started once to list its tools.
        services: runs them; opened with the gateway.
        environ: where needs and resource-limits.yml are looked for.
        file: the services.yml, whose changes are taken over, as those of the files beside it; None for none.
        rules: what resource-limits.yml says.
    """

    def __init__(
        self,
        key: str,
        specs: Sequence[ServiceSpec],
        lock: Lock,
        services: Services,
        environ: Mapping[str, str],
        file: Path | None = None,
        rules: ResourceRules | None = None,
    ) -> None:
        self.key = key
        self.services = services
        self._specs = tuple(spec for spec in specs if spec.enabled)
        self._lock = lock
        self._environ = environ
        self._file = file
        self._rules = rules or ResourceRules()
        self._live: dict[str, tuple[Tool, ...]] = {}
        self._verified: set[str] = set()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._log = structlog.get_logger()

    def open(self) -> AbstractAsyncContextManager[None]:
        """Run services on demand while the block is held."""
        return self._open()

    @asynccontextmanager
    async def watching(self, changed: Callable[[], Awaitable[object]]) -> AsyncGenerator[None]:
        """Take changes of services.yml and resource-limits.yml over until the block is left.

        Args:
            changed: awaited after each, to list the tools anew.
        """
        if self._file is None:
            yield
            return

        async def take_over() -> None:
            if await self.reload():
                await changed()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(on_change, self._files, await state_of(self._files()), take_over)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def reload(self) -> bool:
        """Read the files anew and take over what changed; False when tools can't be others by that.

        A file that is wrong changes nothing, and the log says where.
        """
        assert self._file is not None
        try:
            specs = tuple(spec for spec in load_services(self._file, self._environ) if spec.enabled)
            lock = load_lock(self._file)
            rules = load_limits(limits_file(None, self._environ), self._environ)
        except ServiceManagerError as error:
            self._log.warning("services_not_reloaded", reason=str(error))
            return False
        if (specs, lock, rules) == (self._specs, self._lock, self._rules):
            return False
        tools_may_differ = (specs, lock) != (self._specs, self._lock)
        for spec in self._specs:
            if spec not in specs:
                self._live.pop(spec.name, None)
                self._verified.discard(spec.name)
        self._specs, self._lock, self._rules = specs, lock, rules
        try:
            await self.services.apply(specs, rules)
        except ServiceManagerError as error:
            # The daemon reads the files by itself as well.
            self._log.warning("services_not_applied", reason=str(error))
        self._log.info("services_reloaded", services=len(specs))
        return tools_may_differ

    def _files(self) -> tuple[Path, ...]:
        assert self._file is not None
        lock = lock_file(self._file)
        limits = limits_file(None, self._environ)
        return (self._file, limits, lock) if lock.is_file() else (self._file, limits)

    async def list_tools(self) -> Sequence[Tool]:
        """Every tool of every service; nothing is installed, and only unlocked services are started."""
        specs = self._specs
        listed: dict[str, tuple[Tool, ...]] = {}

        async def read(spec: ServiceSpec) -> None:
            listed[spec.name] = await self._tools_of(spec)

        async with anyio.create_task_group() as tasks:
            for spec in specs:
                tasks.start_soon(read, spec)
        return [tool for spec in specs for tool in listed[spec.name]]

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        """Call a tool, starting its service (and installing it) first where needed.

        Raises:
            GatewayError: the service could not be started, died, or refused the request.
        """
        try:
            result = await self.services.call(tool, arguments, progress)
        except ServiceManagerError as error:
            raise _gateway_error(error) from error
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
        async with self.services.open(), anyio.create_task_group() as tasks:
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
                return await self._read(spec)
        except (ServiceManagerError, MCPError, TimeoutError) as error:
            self._log.warning("service_not_listed", service=spec.name, error=str(error))
            return ()

    async def _verify(self, name: str) -> None:
        """Compare what a started service offers with the lock; the live list wins where it differs."""
        spec = next((spec for spec in self._specs if spec.name == name), None)
        if spec is None:
            return
        try:
            with anyio.fail_after(LIST_S):
                live = await self._read(spec)
        except (ServiceManagerError, MCPError, TimeoutError) as error:
            self._log.debug("service_not_verified", service=name, error=str(error))
            return
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

    async def _read(self, spec: ServiceSpec) -> tuple[Tool, ...]:
        live = tuple(live_tool(spec.name, tool) for tool in await self.services.tools(spec.name))
        # One that was changed while it listed its tools has others now.
        if spec in self._specs:
            self._live[spec.name] = live
        return live


def build_embedded(
    file: Path | None, environ: Mapping[str, str], daemon: DaemonUse = "off"
) -> EmbeddedGateway:
    """The embedded gateway of a services.yml.

    Args:
        file: the services.yml; None for the one that counts.
        environ: the environment everything is configured from.
        daemon: whether its services are run by a daemon.

    Raises:
        ConfigError: of service_manager; services.yml is wrong.
        LockError: the lock file can't be understood.
    """
    path = services_file(file, environ)
    specs, rules = load_services(path, environ), load_limits(limits_file(None, environ), environ)
    services: Services = LocalServices(manager_of(path, environ))
    if daemon != "off":
        from tool_router.gateway.shared_services import SharedServices

        services = SharedServices(path, environ, services, start=daemon == "shared")
    return EmbeddedGateway(f"embedded:{path}", specs, load_lock(path), services, environ, path, rules)


def _gateway_error(error: ServiceManagerError) -> GatewayError:
    match error:
        case ServiceUnavailable() | UnknownService() | LockError() | InstallError():
            return ToolUnavailable(error.tried, error.next_step)
        case ServiceCrashed():
            return UpstreamFailed(error.tried, error.next_step)
        case _:
            failure = UpstreamFailed(error.tried, error.next_step)
            failure.reached_tool = False
            return failure
