"""A real MCP server over stdio whose one call waits to be cancelled and whose other tells that it was."""

from __future__ import annotations

from typing import Any

import anyio
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("waiting")
cancelled = anyio.Event()


@server.tool()
async def wait_until_cancelled(ctx: Context[Any, Any]) -> None:
    """Say that the wait has begun, then wait for ever."""
    await ctx.report_progress(1, 2, "waiting")
    try:
        await anyio.sleep_forever()
    finally:
        cancelled.set()


@server.tool()
async def tell_cancellation() -> str:
    """Answer once the other call was cancelled."""
    await cancelled.wait()
    return "it was cancelled"


if __name__ == "__main__":
    server.run()
