"""Publishes the tools of one stdio MCP server over Streamable HTTP on 127.0.0.1.

usage: python -m scripts.contextforge_try.bridge PORT COMMAND [ARG...]

ContextForge reaches its servers over HTTP; most servers speak stdio. One child serves every client; the SDK
gives each request an id of its own towards it, so that answers can't be mixed up. Progress is relayed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.types import (
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
)


def build(argv: list[str]) -> Server[Client]:
    """A server whose tools are those of the command."""

    @asynccontextmanager
    async def child(_: Server[Client]) -> AsyncGenerator[Client]:
        command = StdioServerParameters(command=argv[0], args=argv[1:], env=dict(os.environ))
        async with Client(command, mode="legacy") as client:
            yield client

    async def list_tools(
        context: ServerRequestContext[Client], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return await context.lifespan_context.list_tools(cursor=params.cursor if params else None)

    async def call_tool(
        context: ServerRequestContext[Client], params: CallToolRequestParams
    ) -> CallToolResult:
        async def relay(progress: float, total: float | None, message: str | None) -> None:
            await context.session.report_progress(progress, total, message)

        plain = CallToolRequestParams(name=params.name, arguments=params.arguments)
        return await context.lifespan_context.session.send_request(
            CallToolRequest(params=plain), CallToolResult, progress_callback=relay
        )

    return Server("bridge", lifespan=child, on_list_tools=list_tools, on_call_tool=call_tool)


def main() -> None:
    """Serve until stopped."""
    port, argv = int(sys.argv[1]), sys.argv[2:]
    app: Any = build(argv).streamable_http_app()
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
