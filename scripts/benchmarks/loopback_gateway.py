"""An MCP server over HTTP on this machine: one tool that answers at once, among many that are only listed."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Sequence
from typing import Any

import uvicorn
from mcp.server import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

from tool_router.catalog.model import Tool as CatalogTool
from tool_router.evaluation.sample_catalog import sample_catalog

TOOL = "reverse_text"
TEXT = "stressed desserts"
TASK = f'Reverse the text "{TEXT}"'

ARGUMENTS = {"text": TEXT}
ANSWER = TEXT[::-1]

REVERSE = Tool(
    name=TOOL,
    description="Reverse a text, character by character.",
    input_schema={
        "type": "object",
        "properties": {"text": {"type": "string", "description": "The text to reverse."}},
        "required": ["text"],
    },
    annotations=ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True),
)


def build(size: int) -> Server[Any]:
    """A server with `size` tools, the one that can be called included."""
    others = [
        # The gateway is one MCP server: what belongs to different servers needs different names.
        Tool(name=tool.id.replace("::", "_"), description=tool.description, input_schema=_schema(tool))
        for tool in sample_catalog(size - 1)
    ]
    tools = [REVERSE, *others]

    async def list_tools(
        ctx: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=tools)

    async def call_tool(ctx: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        text = str((params.arguments or {}).get("text", ""))
        return CallToolResult(content=[TextContent(type="text", text=text[::-1])])

    return Server(
        "loopback",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        # Without it the SDK lists every tool again for each call, to validate headers against the schema.
        get_tool_input_schema={tool.name: tool.input_schema for tool in tools}.get,
    )


def serve(size: int) -> None:
    """Serve on a free port, whose address is printed first, until the process is ended."""
    # asyncio turns Nagle's algorithm off only for sockets that say TCP; else answers wait 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    # Whoever reads the address may connect at once, before the server accepts.
    listener.listen()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    app = build(size).streamable_http_app()
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve as many tools as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=int, default=2375)
    serve(parser.parse_args(arguments).tools)


def _schema(tool: CatalogTool) -> dict[str, Any]:
    return {} if isinstance(tool.input_schema, bool) else dict(tool.input_schema)


if __name__ == "__main__":
    main()
