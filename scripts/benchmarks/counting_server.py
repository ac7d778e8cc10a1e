"""An MCP server over HTTP on this machine that counts its calls: how often was each made?"""

from __future__ import annotations

import argparse
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Any

import anyio
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
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

WRITES = "put_note"
"""Not idempotent: whoever repeats a call of it has written twice."""

READS = "look_up"
"""Only reads, and may be called again."""

COUNTS_PATH = "/counts"

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "key": {"type": "string", "description": "What tells this call from every other."},
        "hold_s": {"type": "number", "description": "Seconds until the answer."},
    },
    "required": ["key"],
}

_TOOLS = [
    Tool(
        name=WRITES,
        description="Put a note away.",
        input_schema=_SCHEMA,
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False),
    ),
    Tool(
        name=READS,
        description="Look a note up.",
        input_schema=_SCHEMA,
        annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True),
    ),
]


def build(counts: Counter[str]) -> Server[Any]:
    """A server that notes the key of each call in `counts` as soon as it arrives."""

    async def list_tools(
        ctx: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=_TOOLS)

    async def call_tool(ctx: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        arguments = params.arguments or {}
        key = str(arguments.get("key", ""))
        counts[key] += 1
        await anyio.sleep(float(arguments.get("hold_s", 0)))
        return CallToolResult(content=[TextContent(type="text", text=key)])

    return Server(
        "counting",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        # Without it the SDK lists every tool again for each call, to validate headers against the schema.
        get_tool_input_schema={tool.name: tool.input_schema for tool in _TOOLS}.get,
    )


def serve() -> None:
    """Serve on a free port, whose address is printed first, until the process is ended."""
    counts: Counter[str] = Counter()

    async def tell(request: Request) -> JSONResponse:
        return JSONResponse(dict(counts))

    app = build(counts).streamable_http_app(
        json_response=True, stateless_http=True, custom_starlette_routes=[Route(COUNTS_PATH, tell)]
    )
    # asyncio turns Nagle's algorithm off only for sockets that say TCP; else answers wait 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until stopped."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    serve()


if __name__ == "__main__":
    main()
