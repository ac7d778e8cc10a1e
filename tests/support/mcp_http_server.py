"""A real MCP server with a tool for each kind of answer, over Streamable HTTP on 127.0.0.1 or over stdio."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.loopback import FaultyApp, serve
from tool_router.gateway.json_value import as_object

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Weather(BaseModel):
    """What the structured tool answers."""

    place: str
    degrees: float


@dataclass(eq=False)
class Calls:
    """What a test sees of the calls, and how it steers them.

    Attributes:
        started: set when `slow` has begun.
        release: lets `slow` end.
        cancelled: set when `slow` was cancelled.
        destroyed: the names given to `destroy`.
    """

    started: anyio.Event = field(default_factory=anyio.Event)
    release: anyio.Event = field(default_factory=anyio.Event)
    cancelled: anyio.Event = field(default_factory=anyio.Event)
    destroyed: list[str] = field(default_factory=list[str])


def build_server(calls: Calls, name: str = "test server") -> MCPServer:
    """The server; `calls` is shared with the test when both run in one process."""
    server = MCPServer(name)
    _add_answering_tools(server)
    _add_steered_tools(server, calls)
    return server


def _add_answering_tools(server: MCPServer) -> None:
    @server.tool(annotations=ToolAnnotations(title="Echo", read_only_hint=True, open_world_hint=False))
    def echo(text: str) -> str:
        """Give the text back."""
        return text

    @server.tool()
    def add(a: float, b: float) -> float:
        """Add two numbers."""
        return a + b

    @server.tool()
    async def progress(steps: int, ctx: Context) -> str:
        """Report progress, step by step."""
        for step in range(1, steps + 1):
            await ctx.report_progress(step, steps, f"step {step}")
        return f"{steps} steps"

    @server.tool()
    def image() -> Image:
        """Give a picture."""
        return Image(data=PIXEL, format="png")

    @server.tool()
    def structured(place: str) -> Weather:
        """Give an object."""
        return Weather(place=place, degrees=21.5)

    @server.tool()
    def error(message: str) -> str:
        """Fail as a tool fails."""
        raise ToolError(message)

    @server.tool()
    def huge(kilobytes: int) -> str:
        """Give a long text."""
        return "x" * (kilobytes * 1024)

    @server.tool()
    def die(status: int = 3) -> str:
        """End the process in the middle of a call."""
        sys.stderr.write("fatal: the disk is on fire\n")
        sys.stderr.flush()
        os._exit(status)


def _add_steered_tools(server: MCPServer, calls: Calls) -> None:
    @server.tool()
    async def slow() -> str:
        """Wait until released."""
        calls.started.set()
        try:
            await calls.release.wait()
        except anyio.get_cancelled_exc_class():
            calls.cancelled.set()
            raise
        return "released"

    @server.tool(annotations=ToolAnnotations(destructive_hint=True, read_only_hint=False))
    def destroy(name: str) -> str:
        """Delete something for ever."""
        calls.destroyed.append(name)
        return f"{name} is gone"


@dataclass(eq=False)
class McpHttpServer:
    """A running server.

    Attributes:
        url: the endpoint.
        faulty: makes its path fail, and records what arrived.
    """

    server: MCPServer
    calls: Calls
    faulty: FaultyApp
    url: str = ""


@asynccontextmanager
async def mcp_http_server(
    server: MCPServer | None = None,
    calls: Calls | None = None,
    *,
    json_response: bool = False,
    stateless: bool = False,
    port: int = 0,
) -> AsyncGenerator[McpHttpServer]:
    """Serve over HTTP until the block is left.

    Args:
        server: the server; the one of `build_server` by default.
        calls: steers the tools of `build_server`.
        json_response: answer calls with JSON instead of an event stream.
        stateless: keep no sessions.
        port: 0 takes a free one.
    """
    calls = calls or Calls()
    server = server or build_server(calls)
    app = server.streamable_http_app(json_response=json_response, stateless_http=stateless)
    running = McpHttpServer(server, calls, FaultyApp(app))
    async with serve(running.faulty, port) as loopback:
        running.url = f"{loopback.url}/mcp"
        yield running


@asynccontextmanager
async def raw_mcp_server(pages: Sequence[Sequence[object]], *, endless: bool = False) -> AsyncGenerator[str]:
    """A server of the handshake era that lists what no SDK would let a server list; gives its endpoint.

    Args:
        pages: the rows of each page of tools/list, as they go over the wire.
        endless: the last page names the first as the next.
    """

    async def answer(request: Request) -> Response:
        message = await request.json()
        if "id" not in message:
            return Response(status_code=202)
        result: dict[str, object]
        match message["method"]:
            case "initialize":
                result = {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "raw server", "version": "1"},
                }
            case "tools/list":
                params = as_object(message.get("params")) or {}
                number = int(params.get("cursor", "0"))
                following = number + 1 if number + 1 < len(pages) else (0 if endless else None)
                result = {"tools": pages[number]}
                if following is not None:
                    result["nextCursor"] = str(following)
            case _:
                error = {"code": -32601, "message": "Method not found"}
                return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error})
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result})

    async with serve(Starlette(routes=[Route("/mcp", answer, methods=["POST"])])) as loopback:
        yield f"{loopback.url}/mcp"


if __name__ == "__main__":
    build_server(Calls()).run()
