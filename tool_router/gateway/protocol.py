"""The protocol every gateway follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from mcp.types import CallToolResult

from tool_router.catalog.model import Tool


class Progress(Protocol):
    """Receives progress while a call runs (an upstream's own, or "installing ...", "starting ...")."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Relay one step; `total` is None when unknown."""
        ...


async def no_progress(progress: float, total: float | None, message: str | None) -> None:
    """Drop progress: for callers that nobody listens to."""


@dataclass(frozen=True, slots=True)
class Health:
    """What a gateway says of itself, for `doctor`: ok, or why not and what to do."""

    ok: bool
    detail: str
    next_step: str = ""


@runtime_checkable
class Probed(Protocol):
    """A gateway that can be asked cheaply whether it is alive, for regular health checks."""

    async def probe(self) -> Health:
        """Ask it, with nothing that costs it much.

        Raises:
            GatewayBusy: it asked to be left alone.
            GatewayError: it does not work.
        """
        ...


@runtime_checkable
class Gateway(Protocol):
    """Lists and calls tools. Used as an async context manager: connections live inside it.

    `key` identifies what is behind it (kind and address, never a secret): the store keeps one catalog
    for each key. Entering must not wait for the far side: an unreachable gateway enters and fails on use.
    """

    key: str

    def open(self) -> AbstractAsyncContextManager[None]:
        """Hold the gateway's connections; every other method is called inside."""
        ...

    async def list_tools(self) -> Sequence[Tool]:
        """Read the whole catalog, whatever the page size.

        Raises:
            GatewayError: it could not be read whole; nothing partial is returned.
        """
        ...

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        """Call a tool and return its result untouched, `is_error` included.

        The caller sets the deadline with a cancel scope; being cancelled cancels upstream.

        Raises:
            GatewayError: the call could not be made or got no result.
        """
        ...

    async def check(self) -> Health:
        """Ask the gateway how it is; never raises a GatewayError."""
        ...
