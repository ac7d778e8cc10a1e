"""What the embedded gateway needs of whoever runs its services, and the manager of this process as that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from mcp.types import CallToolResult
from mcp.types import Tool as WireTool

from service_manager.manager import ServiceManager
from service_manager.model import ServiceSpec
from service_manager.policy.rules import ResourceRules
from tool_router.catalog.model import Tool
from tool_router.gateway.protocol import Progress


class Services(Protocol):
    """Runs services; see `LocalServices` and `daemon_services.DaemonServices`.

    What only reaches a service raises a ServiceManagerError where that fails, and an MCPError where the
    service answers with one.
    """

    def open(self) -> AbstractAsyncContextManager[None]:
        """Run services on demand while the block is held; every other method is called inside."""
        ...

    async def tools(self, name: str) -> Sequence[WireTool]:
        """Every tool of a service, as it lists them; it is started where that is needed."""
        ...

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        """Call a tool and return its result untouched; its service is started or woken first.

        Raises:
            ServiceCrashed: the service ended before it answered; the tool may or may not have run.
            ServiceManagerError: of another kind; the tool did not run.
            MCPError: the service answered with an error.
        """
        ...

    def expect(self, names: Sequence[str]) -> None:
        """Wake services that sleep, because calls of them are likely; returns at once."""
        ...

    async def apply(self, specs: Sequence[ServiceSpec], rules: ResourceRules) -> None:
        """Take over changed specifications and limits; only what changed is restarted."""
        ...


class LocalServices:
    """Services of this process.

    Args:
        manager: runs them; opened with this.
    """

    def __init__(self, manager: ServiceManager) -> None:
        self.manager = manager

    def open(self) -> AbstractAsyncContextManager[None]:
        """Run services on demand; all of them have ended when the block is left."""
        return self.manager.open()

    async def tools(self, name: str) -> Sequence[WireTool]:
        """See `Services.tools`."""
        async with self.manager.lease(name) as session:
            return await session.list_tools()

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        """See `Services.call`."""
        async with self.manager.lease(tool.server, progress) as session:
            return await session.call_tool(tool.call_name or tool.name, arguments, progress)

    def expect(self, names: Sequence[str]) -> None:
        """See `Services.expect`."""
        self.manager.expect(names)

    async def apply(self, specs: Sequence[ServiceSpec], rules: ResourceRules) -> None:
        """See `Services.apply`."""
        await self.manager.apply(specs, rules)
