"""A gateway whose every call does what a test says, one call at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from mcp.types import CallToolResult, TextContent

from tool_router.catalog.model import Hints, Tool
from tool_router.gateway.protocol import Health, Progress

Behaviour = Callable[[Tool], Awaitable[CallToolResult]]


def tool(name: str, server: str = "time", hints: Hints | None = None) -> Tool:
    return Tool(id=f"{server}::{name}" if server else name, name=name, server=server, hints=hints or Hints())


def text(value: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=value)], is_error=is_error)


async def works(asked: Tool) -> CallToolResult:
    return text(asked.id)


def failing(error: Exception) -> Behaviour:
    async def fails(asked: Tool) -> CallToolResult:
        raise error

    return fails


class SteeredGateway:
    """Calls `behaviour`, which a test changes as it goes along, and remembers who was called."""

    def __init__(self, behaviour: Behaviour = works) -> None:
        self.key = "steered"
        self.behaviour = behaviour
        self.called: list[str] = []
        self.listing: Callable[[], Awaitable[Sequence[Tool]]] | None = None
        self.checked = 0
        self.is_open = False

    def open(self) -> AbstractAsyncContextManager[None]:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None]:
        self.is_open = True
        yield
        self.is_open = False

    async def list_tools(self) -> Sequence[Tool]:
        return await self.listing() if self.listing else (tool("a"),)

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        self.called.append(tool.id)
        return await self.behaviour(tool)

    async def check(self) -> Health:
        self.checked += 1
        return Health(ok=True, detail="steered")
