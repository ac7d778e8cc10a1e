"""A gateway in this process that does what a test tells it to, and keeps the protocol while doing so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.types import CallToolResult, TextContent

from tool_router.catalog.model import Tool
from tool_router.errors import GatewayError
from tool_router.gateway.protocol import Health, Progress


@dataclass(eq=False)
class Listing:
    """What one `list_tools` does: waits for `release`, then gives `tools` or raises `error`."""

    tools: Sequence[Tool] = ()
    error: GatewayError | None = None
    started: anyio.Event = field(default_factory=anyio.Event)
    release: anyio.Event | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call that arrived."""

    tool: Tool
    arguments: Mapping[str, Any]


class ScriptedGateway:
    """Lists what `listings` says, in order, the last one for ever; calls echo their arguments as text.

    Attributes:
        listings: the script; append to it while the gateway is in use.
        listed_at: when each `list_tools` was begun, by the event loop's clock.
        cancelled: how many `list_tools` and `call` were cancelled.
        call_error: what the next calls raise; None lets them work.
        call_release: when set, calls wait for it.
        call_started: set when a call has arrived.
    """

    def __init__(self, *listings: Listing | Sequence[Tool], key: str = "scripted:test") -> None:
        self.key = key
        self.listings = [
            listing if isinstance(listing, Listing) else Listing(listing) for listing in listings
        ] or [Listing()]
        self.listed_at: list[float] = []
        self.cancelled = 0
        self.calls: list[Call] = []
        self.call_error: GatewayError | None = None
        self.call_release: anyio.Event | None = None
        self.call_started = anyio.Event()
        self.is_open = False

    @property
    def listed(self) -> int:
        """How many `list_tools` were begun."""
        return len(self.listed_at)

    def open(self) -> AbstractAsyncContextManager[None]:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None]:
        self.is_open = True
        try:
            yield
        finally:
            self.is_open = False

    async def list_tools(self) -> Sequence[Tool]:
        listing = self.listings[min(self.listed, len(self.listings) - 1)]
        self.listed_at.append(anyio.current_time())
        listing.started.set()
        await self._wait(listing.release)
        if listing.error is not None:
            raise listing.error
        return listing.tools

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        self.calls.append(Call(tool, dict(arguments)))
        self.call_started.set()
        await self._wait(self.call_release)
        if self.call_error is not None:
            raise self.call_error
        await progress(1.0, 1.0, "echoed")
        return CallToolResult(content=[TextContent(type="text", text=f"{tool.id} {dict(arguments)}")])

    async def check(self) -> Health:
        return Health(ok=True, detail="scripted")

    async def _wait(self, release: anyio.Event | None) -> None:
        if release is None:
            return
        try:
            await release.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
