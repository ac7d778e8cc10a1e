"""A real MCP server over stdio with switches for bad behaviour; run as a child process by tests.

usage: python stdio_service.py [--silent] [--die] [--noise] [--deaf] [--fork]
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from mcp.server.mcpserver import Context, Image, MCPServer

FLAGS = frozenset(sys.argv[1:])

server = MCPServer("faulty")


@server.tool()
def echo(message: str) -> str:
    """Echo a message back."""
    return f"echo: {message}"


@server.tool()
def whoami() -> int:
    """The process id of this server."""
    return os.getpid()


@server.tool()
def crash() -> str:
    """End this server in the middle of the call."""
    sys.stderr.write("about to crash\n")
    os._exit(3)


@server.tool()
async def steps(ctx: Context[Any, Any]) -> str:
    """Report progress twice."""
    await ctx.report_progress(1, 2, "half")
    await ctx.report_progress(2, 2, "all")
    return "done"


@server.tool()
def picture() -> Image:
    """A picture of one pixel."""
    return Image(data=b"\x89PNG\r\n\x1a\n", format="png")


@server.tool()
def delete_item(name: str) -> str:
    """Delete an item for ever."""
    return f"deleted {name}"


def main() -> None:
    """Behave as the flags say, then serve."""
    if "--die" in FLAGS:
        sys.stderr.write("no licence found\n")
        sys.exit(7)
    if "--silent" in FLAGS:
        sys.stderr.write("thinking\n")
        time.sleep(3600)
    if "--deaf" in FLAGS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "--fork" in FLAGS and os.fork() == 0:
        os.close(0)
        os.close(1)
        time.sleep(3600)
    if "--noise" in FLAGS:
        sys.stdout.write("Welcome to the noisy server\n")
        sys.stdout.flush()
    server.run()


if __name__ == "__main__":
    main()
