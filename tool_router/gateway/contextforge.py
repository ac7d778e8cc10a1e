"""IBM ContextForge as a gateway: the catalog by REST, calls by JSON-RPC or through its MCP endpoint."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.abc
import anyio.lowlevel
import structlog
from mcp.types import CallToolResult

from tool_router.catalog.model import Availability, Tool
from tool_router.errors import GatewayError, GatewayRejected, ToolUnavailable
from tool_router.gateway.connection_pool import Reach
from tool_router.gateway.contextforge_catalog import PAGE_ROWS, ContextForgeCatalog
from tool_router.gateway.contextforge_rpc import (
    METHOD_NOT_FOUND,
    RpcError,
    call_request,
    cancel_notice,
    read_answer,
    refuses_session,
    rpc_error,
    upstream_failed,
    verdict,
)
from tool_router.gateway.contextforge_sessions import SessionPool
from tool_router.gateway.json_http import JsonHttp
from tool_router.gateway.json_value import as_object
from tool_router.gateway.protocol import Health, Progress
from tool_router.gateway.rows import contextforge_tool, told_apart
from tool_router.tasks import plain_task_group

if TYPE_CHECKING:
    from tool_router.gateway.mcp_link import McpLink

CANCEL_NOTICE_S = 1.0
"""How long it is tried to tell the gateway that a call was cancelled."""

WHY_LIMIT_S = 5.0
"""How long it may take to find out why the gateway does not know a tool."""


class ContextForgeGateway:
    """Lists and calls tools through ContextForge.

    Args:
        url: the gateway's root address, e.g. ``http://127.0.0.1:4444``.
        token: bearer token; needs tools.read and tools.execute.
        transport: how tools are called. "rpc" gives errors that can be told apart by code. "mcp" goes through
            the gateway's MCP endpoint, which relays progress where the gateway runs with
            ``USE_STATEFUL_SESSIONS=true``.
        connect_timeout_s: at most 30.
        read_timeout_s: silence that ends a listing or a health check.
        call_timeout_s: silence that ends a call; the caller's cancel scope ends it sooner.
        sessions: how many upstream sessions of each service are kept for calls to share, over "rpc"; with 0
            the gateway opens a new one for each call.
        session_seed: secret that the sessions' ids are derived from; empty draws one. The gateway never drops
            a session: a process that gives the seed of an ended one uses its sessions instead of adding more.
        reach: how many connections there may be, and where they lead.

    Raises:
        ConfigError: `url` is no http or https address.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        transport: Literal["rpc", "mcp"] = "rpc",
        connect_timeout_s: float = 10.0,
        read_timeout_s: float = 30.0,
        call_timeout_s: float = 300.0,
        sessions: int = 4,
        session_seed: bytes = b"",
        reach: Reach | None = None,
    ) -> None:
        self._http = JsonHttp(
            url, token, connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s, reach=reach
        )
        self.key = f"contextforge:{self._http.url}"
        self._catalog = ContextForgeCatalog(self._http)
        self._call_timeout_s = call_timeout_s
        self._sessions = SessionPool(sessions, session_seed or secrets.token_bytes(32), anyio.current_time)
        self._row_ids: dict[str, str] = {}
        self._notices: anyio.abc.TaskGroup | None = None
        self._link: McpLink | None = None
        if transport == "mcp":
            from tool_router.gateway.mcp_http import HttpEndpoint
            from tool_router.gateway.mcp_link import McpLink

            headers = {"Authorization": f"Bearer {token}"} if token else {}
            self._link = McpLink(
                HttpEndpoint(
                    f"{self._http.url}/mcp",
                    headers,
                    connect_timeout_s=connect_timeout_s,
                    read_timeout_s=call_timeout_s,
                    reach=reach,
                ),
                # On 2026-07-28, which 1.1.0 speaks, it relays no progress; on 2025-11-25 it does.
                mode="legacy",
            )
        self._log = structlog.get_logger()

    def open(self) -> AbstractAsyncContextManager[None]:
        """Hold the connections; nothing is sent before the first request."""
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._http.open())
            if self._link is not None:
                await stack.enter_async_context(self._link.open())
            self._notices = await stack.enter_async_context(plain_task_group())
            try:
                yield
            finally:
                self._notices = None

    async def list_tools(self) -> Sequence[Tool]:
        """Read the whole catalog, the tools that can't be called too.

        Raises:
            GatewayError: it could not be read whole.
        """
        rows = await self._catalog.rows()
        tools: list[Tool] = []
        row_ids: dict[str, str] = {}
        for number, row in enumerate(rows):
            if number % PAGE_ROWS == 0:
                # Thousands of rows take a tenth of a second, in which calls must go on.
                await anyio.lowlevel.checkpoint()
            tool = contextforge_tool(row)
            if tool is None:
                self._log.warning("gateway_row_without_name", row_id=str(row.get("id"))[:64])
                continue
            tools.append(tool)
            if tool.availability is Availability.UNREACHABLE:
                self._sessions.forget(tool.server)
            row_id = row.get("id")
            if isinstance(row_id, str):
                row_ids[tool.call_name] = row_id
        self._row_ids = row_ids
        return told_apart(tools)

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        """Call a tool; its result is returned untouched, unless the gateway wrote it to report a failure.

        Raises:
            GatewayError: the call could not be made or got no result of the tool.
        """
        if not tool.available:
            raise ToolUnavailable(
                f"{tool.id} can't be called: {tool.unavailable_reason or tool.availability}"
            )
        if self._link is not None:
            result = await self._link.call(tool, arguments, progress)
        else:
            result = await self._call_rpc(tool, arguments)
        failure = verdict(result, tool)
        if failure is not None:
            raise failure
        return result

    async def check(self) -> Health:
        """Ask for the gateway's health, then read a tool with the token; says what to do about either."""
        try:
            health = await self.probe()
            if not health.ok:
                return health
            await self._catalog.probe()
            if self._link is not None:
                await self._link.connect()
        except GatewayError as error:
            return Health(False, error.tried, error.next_step)
        return Health(True, f"ContextForge at {self._http.url} answers, and the token may read its tools.")

    async def probe(self) -> Health:
        """Ask for the gateway's health alone, in one request: what is asked of it again and again.

        Raises:
            GatewayBusy: it is to be left alone; `check` only says so, but who asks often must obey.
            GatewayError: there was no answer.
        """
        answer = (await self._http.get("/health")).value
        state = (as_object(answer) or {}).get("status")
        if not isinstance(state, str):
            return Health(
                False,
                f"{self._http.asked('GET', '/health').what} was answered, but not as ContextForge does.",
                "Another program listens there: check gateway.url.",
            )
        if state != "healthy":
            return Health(False, f"{self._http.url} says that it is {state}.", "See the gateway's log.")
        return Health(True, f"ContextForge at {self._http.url} answers.")

    async def _call_rpc(self, tool: Tool, arguments: Mapping[str, Any]) -> CallToolResult:
        with self._sessions.use(tool) as session:
            outcome = await self._ask(tool, arguments, session.id)
            if isinstance(outcome, RpcError) and session.id and refuses_session(outcome):
                # It refused before it looked for the tool, so that nothing is done twice.
                self._sessions.disable()
                self._log.info("gateway_takes_no_session_ids", gateway=self._http.url, said=outcome.message)
                outcome = await self._ask(tool, arguments, "")
            # A session whose service was restarted answers just like a service that died at work: that the
            # tool was not reached can't be told from it.
            session.lost = upstream_failed(outcome, tool)
        if isinstance(outcome, CallToolResult):
            return outcome
        if outcome.code == METHOD_NOT_FOUND:
            raise await self._why_not_found(tool)
        raise rpc_error(outcome, tool)

    async def _ask(
        self, tool: Tool, arguments: Mapping[str, Any], session_id: str
    ) -> CallToolResult | RpcError:
        # ContextForge keys a cancellation by the bare id, whoever sent it: only a random one is ours.
        request_id = str(uuid.uuid4())
        body = call_request(request_id, tool, arguments)
        try:
            answer = await self._http.post(
                "/rpc",
                body,
                read_timeout_s=self._call_timeout_s,
                headers={"Mcp-Session-Id": session_id} if session_id else {},
            )
        except anyio.get_cancelled_exc_class():
            if self._notices is not None:
                # Beside the caller, who is not held by it.
                self._notices.start_soon(self._tell_cancelled, request_id)
            raise
        return read_answer(answer.value, request_id, self._http.asked("POST", "/rpc").what)

    async def _tell_cancelled(self, request_id: str) -> None:
        with anyio.move_on_after(CANCEL_NOTICE_S, shield=True):
            try:
                await self._http.post("/rpc", cancel_notice(request_id), read_timeout_s=CANCEL_NOTICE_S)
            except GatewayError as error:
                self._log.debug("cancel_notice_failed", error=str(error))

    async def _why_not_found(self, tool: Tool) -> GatewayError:
        """What the tool's row says: the gateway answers the same for unknown, disabled and offline."""
        with anyio.move_on_after(WHY_LIMIT_S):
            try:
                row = await self._row_of(tool)
            except GatewayRejected as error:
                self._log.debug("row_not_read", error=str(error))
            except GatewayError as error:
                return error
            else:
                if row is None:
                    return ToolUnavailable(
                        f"{tool.id} is no longer in the gateway.",
                        "Run `tool-router tools` to see what is.",
                    )
                now = contextforge_tool(row)
                if now is not None and not now.available:
                    return ToolUnavailable(f"{tool.id} can't be called: {now.unavailable_reason}")
        return ToolUnavailable(
            f"The gateway does not find {tool.call_name}, although it lists it.",
            "Its service may be coming back, or the token may not see it: try again in a minute.",
        )

    async def _row_of(self, tool: Tool) -> Mapping[str, Any] | None:
        row_id = self._row_ids.get(tool.call_name)
        if row_id is not None:
            return await self._catalog.row(row_id)
        rows = await self._catalog.rows()
        return next((row for row in rows if row.get("name") == tool.call_name), None)
