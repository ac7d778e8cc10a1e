"""A real MCP server over stdio that knows the time, for an everyday task without an installation."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("time")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def get_current_time(timezone: str) -> str:
    """Get the current time in a specific time zone.

    Args:
        timezone: IANA time zone name, such as Europe/Berlin.
    """
    return datetime.now(ZoneInfo(timezone)).isoformat(timespec="seconds")


if __name__ == "__main__":
    server.run()
