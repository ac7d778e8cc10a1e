"""Any MCP server as a gateway: at an address, or behind a command's stdin and stdout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from mcp.types import CallToolResult

from tool_router.catalog.model import Tool
from tool_router.errors import ConfigError, GatewayError, ToolUnavailable
from tool_router.gateway.connection_pool import Reach
from tool_router.gateway.mcp_http import HttpEndpoint
from tool_router.gateway.mcp_link import McpLink
from tool_router.gateway.mcp_stdio import StdioEndpoint
from tool_router.gateway.protocol import Health, Progress
from tool_router.gateway.rows import mcp_tool, told_apart


class McpEndpointGateway:
    """Lists and calls the tools of one MCP server.

    Args:
        url: a Streamable HTTP endpoint, e.g. ``http://127.0.0.1:8000/mcp``.
        token: bearer token for `url`.
        headers: further headers for `url`.
        command: the argv of a stdio server, instead of `url`.
        env: the command's environment; this process's own, less the gateway's token, when None.
        cwd: the command's working directory.
        mode: "auto" finds the protocol era out; "legacy", or a version, fixes it.
        connect_timeout_s: how long opening the connection may take.
        call_timeout_s: silence over HTTP that ends a call; the caller's cancel scope ends it sooner.
        on_change: told that the server's tools have changed; returns at once.
        reach: how many connections to `url` there may be, and where they lead.

    Raises:
        ConfigError: not exactly one of `url` and `command` is given, or it is malformed.
    """

    def __init__(
        self,
        url: str = "",
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        mode: str = "auto",
        connect_timeout_s: float = 30.0,
        call_timeout_s: float = 300.0,
        on_change: Callable[[], None] | None = None,
        reach: Reach | None = None,
    ) -> None:
        if bool(url) == bool(command):
            raise ConfigError("An MCP gateway needs either an address or a command.", "Give one of the two.")
        if command:
            endpoint = StdioEndpoint(command, env=env, cwd=cwd)
        else:
            bearer = {"Authorization": f"Bearer {token}"} if token else {}
            endpoint = HttpEndpoint(
                url,
                {**bearer, **(headers or {})},
                connect_timeout_s=connect_timeout_s,
                read_timeout_s=call_timeout_s,
                reach=reach,
            )
        self.key = endpoint.key
        self._label = endpoint.label
        self._link = McpLink(endpoint, mode=mode, connect_timeout_s=connect_timeout_s, on_change=on_change)
        self._log = structlog.get_logger()

    def open(self) -> AbstractAsyncContextManager[None]:
        """Hold the connection; it is made by the first request."""
        return self._link.open()

    async def list_tools(self) -> Sequence[Tool]:
        """Read every page of the server's tools.

        Raises:
            GatewayError: they could not be read whole.
        """
        rows, name = await self._link.rows()
        # Spaces would make a name that nobody can type as `tool`.
        server = "-".join(name.split())
        tools = [tool for row in rows if (tool := mcp_tool(row, server)) is not None]
        if len(tools) < len(rows):
            self._log.warning("gateway_rows_without_name", endpoint=self._label, count=len(rows) - len(tools))
        return told_apart(tools)

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        """Call a tool and return its result untouched.

        Raises:
            GatewayError: the call could not be made or got no result.
        """
        if not tool.available:
            reason = tool.unavailable_reason or tool.availability
            raise ToolUnavailable(f"{tool.id} can't be called: {reason}")
        return await self._link.call(tool, arguments, progress)

    async def check(self) -> Health:
        """List the server's tools; says what to do when it can't."""
        try:
            rows, name = await self._link.rows()
        except GatewayError as error:
            return Health(False, error.tried, error.next_step)
        who = f"{name} at {self._label}" if name else self._label
        return Health(True, f"{who} answers and lists {len(rows)} tools.")
