"""Requests to one MCP server, over a connection that is opened on first use, shared, and re-opened."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import anyio
import anyio.abc
from mcp import Client, MCPError
from mcp.types import (
    HEADER_MISMATCH,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
)
from pydantic import TypeAdapter, ValidationError

from tool_router.catalog.model import Tool
from tool_router.errors import GatewayFailed, GatewayProtocolError, GatewayUnreachable, ToolUnavailable
from tool_router.gateway.json_value import as_list
from tool_router.gateway.mcp_connection import Connection, Endpoint
from tool_router.gateway.mcp_failure import SessionLost, is_closed
from tool_router.gateway.mcp_reads import ODD_ROWS_KEY
from tool_router.gateway.protocol import Progress, no_progress
from tool_router.tasks import plain_task_group

MAX_PAGES = 10_000
"""A listing with more pages never ends."""

_Answer = TypeVar("_Answer")

_CALL_ANSWER: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(
    CallToolResult | InputRequiredResult
)


class McpLink:
    """Lists and calls over one connection.

    The connection lives in a task of its own, so that a cancelled caller ends its request and nothing else.

    Args:
        endpoint: the far side.
        mode: "auto" finds the protocol era out; "legacy", or a version, fixes it.
        connect_timeout_s: how long opening may take, in seconds, the negotiation included.
        on_change: told that the far side's tools have changed; returns at once.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        mode: str = "auto",
        connect_timeout_s: float = 30.0,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._mode = mode
        self._connect_timeout_s = connect_timeout_s
        self._on_change = on_change
        self._tasks: anyio.abc.TaskGroup | None = None
        self._connection: Connection | None = None

    def open(self) -> AbstractAsyncContextManager[None]:
        """Hold the connection; it is made by the first request."""
        return self._open()

    async def connect(self) -> None:
        """Open the connection where it is not open.

        Raises:
            GatewayError: it could not be opened.
        """
        async with self._current().use():
            pass

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        """Call a tool; its result is not validated, because by then it has run.

        Raises:
            GatewayError: the call could not be made or got no result.
        """
        params = CallToolRequestParams(name=tool.call_name, arguments=dict(arguments))
        request = CallToolRequest(params=params)
        relayed = None if progress is no_progress else progress

        async def ask(client: Client) -> CallToolResult | InputRequiredResult:
            try:
                return await client.session.send_request(request, _CALL_ANSWER, progress_callback=relayed)
            except MCPError as mismatch:
                if mismatch.code != HEADER_MISMATCH:
                    raise
            # 2026-07-28: some arguments are repeated in headers, which the SDK knows from the tool's listing.
            await _read_rows(client, self._endpoint.label)
            return await client.session.send_request(request, _CALL_ANSWER, progress_callback=relayed)

        answer = await self._request(ask)
        if isinstance(answer, InputRequiredResult):
            raise ToolUnavailable(
                f"{tool.id} asks something back before it runs, which can't be relayed.",
                "Give it everything it needs in the arguments.",
            )
        return answer

    async def rows(self) -> tuple[list[object], str]:
        """Every tool of the far side as it lists them, and the name the far side gives itself.

        Raises:
            GatewayError: they could not be read whole.
        """

        async def ask(client: Client) -> tuple[list[object], str]:
            info = client.server_info
            return await _read_rows(client, self._endpoint.label), info.name if info else ""

        return await self._request(ask)

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None]:
        async with plain_task_group() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None
                connection, self._connection = self._connection, None
                if connection is not None:
                    await connection.close()
                tasks.cancel_scope.cancel()

    async def _request(self, ask: Callable[[Client], Awaitable[_Answer]]) -> _Answer:
        try:
            return await self._request_once(ask)
        except SessionLost:
            # The far side was restarted, forgot the session and refused the request: the protocol demands
            # that a new one is opened.
            return await self._request_once(ask)

    async def _request_once(self, ask: Callable[[Client], Awaitable[_Answer]]) -> _Answer:
        connection = self._current()
        async with connection.use() as client:
            try:
                return await ask(client)
            except MCPError as error:
                failure = await connection.explain(error)
                if isinstance(failure, GatewayUnreachable | GatewayFailed | SessionLost) or is_closed(error):
                    # What comes back may have forgotten the session, or speak another era.
                    connection.drop()
                raise failure from error
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"][:4])
                raise GatewayProtocolError(
                    f"{self._endpoint.label} answered something else than asked ({where}: {first['msg']}).",
                    "See whether it is up to date; its log may say more.",
                ) from error

    def _current(self) -> Connection:
        """The connection that takes requests; it may still be opening, and is then joined."""
        if self._tasks is None:
            raise RuntimeError("the gateway is not open")
        if self._connection is None or self._connection.dropped:
            self._connection = Connection(
                self._endpoint,
                mode=self._mode,
                connect_timeout_s=self._connect_timeout_s,
                on_change=self._on_change,
            )
            self._tasks.start_soon(self._connection.run)
        return self._connection


async def _read_rows(client: Client, label: str) -> list[object]:
    rows: list[object] = []
    cursor: str | None = None
    seen: set[str] = set()
    while True:
        page = await client.list_tools(cursor=cursor)
        rows += [tool.model_dump(by_alias=True, exclude_none=True) for tool in page.tools]
        rows += as_list((page.meta or {}).get(ODD_ROWS_KEY)) or ()
        cursor = page.next_cursor
        if cursor is None:
            return rows
        if cursor in seen or len(seen) >= MAX_PAGES:
            raise GatewayProtocolError(
                f"The tools of {label} never end: after {len(seen) + 1} pages the listing repeats itself.",
                "It is a defect of that server; see whether there is a newer release.",
            )
        seen.add(cursor)
