"""What arrives from an MCP server, made safe for the SDK: one odd tool must not lose a whole catalog."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import anyio
from mcp.client._transport import ReadStream
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCResponse
from mcp_types.methods import validate_server_result
from pydantic import ValidationError

from tool_router.gateway.json_value import as_list, as_object

ODD_ROWS_KEY = "tool-router/odd-rows"
"""Where a page's `_meta` carries the tools that the SDK would refuse, e.g. one whose schema is ``true``."""


class Reads:
    """A transport's read stream; sets odd tools aside and says when the far side has ended.

    Args:
        inner: the transport's own stream.
        version: gives the negotiated protocol version, once there is one.
        on_end: called once when the far side has closed the stream.
    """

    def __init__(
        self,
        inner: ReadStream[SessionMessage | Exception],
        version: Callable[[], str | None],
        on_end: Callable[[], None],
    ) -> None:
        self._inner = inner
        self._version = version
        self._on_end = on_end

    @property
    def last_context(self) -> Any:
        """The sender's context variables, which the SDK looks for."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        """The next message, or the error of one that could not be read."""
        try:
            item = await self._inner.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self._on_end()
            raise
        if isinstance(item, SessionMessage):
            set_odd_tools_aside(item, self._version())
        return item

    async def aclose(self) -> None:
        """Close the stream."""
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


def set_odd_tools_aside(item: SessionMessage, version: str | None) -> None:
    """Move the tools of a ``tools/list`` answer that its protocol version does not allow into `_meta`."""
    if version is None or not isinstance(item.message, JSONRPCResponse):
        return
    result = item.message.result
    rows = as_list(result.get("tools"))
    if rows is None or _allowed(result, version):
        return
    fine = [row for row in rows if _allowed({**result, "tools": [row]}, version)]
    odd = [row for row in rows if row not in fine]
    meta = as_object(result.get("_meta")) or {}
    item.message.result = {**result, "tools": fine, "_meta": {**meta, ODD_ROWS_KEY: odd}}


def _allowed(result: Mapping[str, Any], version: str) -> bool:
    try:
        validate_server_result("tools/list", version, result)
    except (ValidationError, RecursionError):
        return False
    return True
