"""What a lease yields: requests to one running service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
from mcp import ClientSession, MCPError
from mcp.types import (
    CONNECTION_CLOSED,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    Tool,
)
from mcp.types import PaginatedRequestParams as Page
from pydantic import TypeAdapter

from service_manager.errors import ServiceCrashed
from service_manager.model import Progress

MAX_PAGES = 1_000
"""A listing with more pages never ends."""

EXIT_S = 1.0
"""How long the exit of a service whose streams have closed is waited for."""

_ANSWER: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(CallToolResult | InputRequiredResult)


class ServiceSession:
    """Requests to one service, any number at once; cancelling one cancels it upstream.

    Args:
        name: the service, for messages.
        session: the SDK's session, open.
        ending: how the service ended and its last words; empty while it runs.
        ended: returns when it has ended.
        lost: told when the service has hung up, whether or not it still runs.
    """

    def __init__(
        self,
        name: str,
        session: ClientSession,
        ending: Callable[[], str],
        ended: Callable[[], Awaitable[None]],
        lost: Callable[[], None],
    ) -> None:
        self._name = name
        self._session = session
        self._ending = ending
        self._ended = ended
        self._lost = lost

    @property
    def protocol_version(self) -> str:
        """The protocol version that was negotiated."""
        return self._session.protocol_version or ""

    async def list_tools(self) -> list[Tool]:
        """Every tool of the service, over all pages.

        Raises:
            ServiceCrashed: it died meanwhile.
            MCPError: it answered with an error.
        """
        tools: list[Tool] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            try:
                page = await self._session.list_tools(params=Page(cursor=cursor) if cursor else None)
            except MCPError as error:
                raise await self._crash_or(error) from error
            tools += page.tools
            cursor = page.next_cursor
            if not cursor:
                break
        return tools

    async def call_tool(self, name: str, arguments: Mapping[str, Any], listener: Progress) -> CallToolResult:
        """Call a tool and return its result untouched; it is not validated, because by then the tool has run.

        Raises:
            ServiceCrashed: the service died before it answered.
            MCPError: it answered with an error, or asked something back.
        """

        async def relay(progress: float, total: float | None, message: str | None) -> None:
            await listener(progress, total, message or "")

        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=dict(arguments)))
        try:
            answer = await self._session.send_request(request, _ANSWER, progress_callback=relay)
        except MCPError as error:
            raise await self._crash_or(error) from error
        if isinstance(answer, InputRequiredResult):
            raise MCPError(-32603, f"{name} asks something back before it runs, which can't be relayed.")
        return answer

    async def _crash_or(self, error: MCPError) -> Exception:
        if error.code != CONNECTION_CLOSED:
            return error
        # Its streams close a moment before its exit code is known.
        with anyio.move_on_after(EXIT_S):
            await self._ended()
        self._lost()
        how = (
            f"died during the request ({ending})" if (ending := self._ending()) else "hung up on the request"
        )
        return ServiceCrashed(f"{self._name} {how}.", "It is started again by the next call.")
