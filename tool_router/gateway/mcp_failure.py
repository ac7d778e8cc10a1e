"""What a failed MCP request means, and how its cause travels through the SDK."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp import MCPError
from mcp.types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    REQUEST_TIMEOUT,
)

from tool_router.errors import (
    GatewayError,
    GatewayFailed,
    GatewayProtocolError,
    GatewayRejected,
    GatewayTimeout,
    UpstreamFailed,
)
from tool_router.gateway.http_errors import one_line
from tool_router.gateway.json_value import as_object

_EXPLAINED = -32099
"""The code of the answers made here; from the range JSON-RPC leaves to implementations."""

_DATA_KEY = "tool-router/failure"

_KEPT = 256

LAST_WORDS_S = 0.5
"""How long the end of the far side is waited for when its streams have ended."""


class Failures:
    """Failures of one connection, each waiting for the request it belongs to.

    An exception can't travel through the SDK, a JSON-RPC error can. Nobody else can forge one: its key is
    random.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, GatewayError] = OrderedDict()
        self._ended: Callable[[bool], GatewayError] | None = None
        self._wait: Callable[[], Awaitable[None]] | None = None

    def ended_with(
        self, explain: Callable[[bool], GatewayError], wait: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Say how to explain the end of the far side.

        Args:
            explain: told whether the connection had been opened.
            wait: returns when the far side has ended whole, with its last words.
        """
        self._ended = explain
        self._wait = wait

    async def ended(self, *, opened: bool) -> GatewayError | None:
        """Why the far side ended; None when nothing is known beyond its answers."""
        if self._wait is not None:
            # Its streams end a moment before it does.
            with anyio.move_on_after(LAST_WORDS_S):
                await self._wait()
        return self._ended(opened) if self._ended else None

    def answer(self, error: GatewayError) -> dict[str, Any]:
        """The JSON-RPC answer that stands for a failure."""
        key = secrets.token_hex(8)
        self._kept[key] = error
        # Answers to notifications are read by nobody.
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        told = {"code": _EXPLAINED, "message": str(error), "data": {_DATA_KEY: key}}
        return {"jsonrpc": "2.0", "id": None, "error": told}

    def take(self, error: MCPError) -> GatewayError | None:
        """The failure an error stands for; None when the far side itself answered it."""
        if error.code != _EXPLAINED:
            return None
        key = (as_object(error.data) or {}).get(_DATA_KEY)
        return self._kept.pop(key, None) if isinstance(key, str) else None


class SessionLost(GatewayRejected):
    """The far side does not know the session any more and did nothing; a new one is opened at once."""


def is_closed(error: MCPError) -> bool:
    """Whether the SDK says that the connection ended; servers use the same code for errors of their own."""
    text = error.message
    return error.code == CONNECTION_CLOSED and (text == "Connection closed" or text.startswith("SSE stream"))


def answered_error(error: MCPError, label: str) -> GatewayError:
    """What an error that the far side answered means.

    Args:
        error: as the SDK raised it.
        label: the far side, for messages.
    """
    said = f"{label} answered {error.code}: {one_line(error.message) or 'without a message'}."
    match error.code:
        case _ if is_closed(error):
            return GatewayFailed(
                f"The connection to {label} ended before the answer.", "See its log for why."
            )
        case _ if error.code == REQUEST_TIMEOUT:
            return GatewayTimeout(said, "See whether it is overloaded or frozen.")
        case _ if error.code == PARSE_ERROR:
            return GatewayProtocolError(
                f"{label} sent an answer that can't be read: {one_line(error.message)}.",
                "See whether it is an MCP endpoint, and its log.",
            )
        case _ if error.code == INVALID_PARAMS:
            return GatewayRejected(400, said, "Check the tool's name and arguments against its schema.")
        case _ if error.code == METHOD_NOT_FOUND:
            return GatewayRejected(404, said, "See whether it is an MCP endpoint that offers tools.")
        case _ if error.code == INVALID_REQUEST:
            return GatewayRejected(400, said, "See its log for why.")
        case _:
            return UpstreamFailed(said, "See its log for why.")
