"""An HTTP client for the SDK's MCP transport that never tells it less than what happened.

The SDK reports each bad HTTP answer as the same JSON-RPC error, and an exception of the HTTP client ends its
whole connection with every call under way in it. So failures are caught one layer below: a failed POST
becomes an answer that the SDK hands to exactly the request it belongs to, a JSON-RPC error that names the
failure in its data. An event stream that breaks off ends with the same answer, as an event.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.abc
import httpx2
import structlog

from tool_router.errors import GatewayBusy, GatewayError, GatewayFailed, GatewayRejected, GatewayUnreachable
from tool_router.gateway.http_errors import Asked, not_json, one_line, status_error, trouble_error
from tool_router.gateway.json_value import as_object, decode
from tool_router.gateway.mcp_failure import Failures, SessionLost

SESSION_HEADER = "mcp-session-id"

_NOTIFICATION = b"notifications/"

CANCEL_NOTICE_S = 2.0
"""How long it is tried to tell the server that a call was cancelled."""

INITIALIZED_S = 5.0
"""How long a server may take to accept that the session is open; it answered the handshake just before."""

NOTICES_AT_ONCE = 2
"""Where a line is dead, notices wait for each other and not in the places of calls."""


@dataclass(eq=False, slots=True)
class _UnderWay:
    """A request whose answer is not whole yet."""

    request: httpx2.Request
    scope: anyio.CancelScope
    response: httpx2.Response | None = None


class ExplainingClient(httpx2.AsyncClient):
    """Sends like its base, but a POST never raises and never gives the SDK an answer it would misread.

    It keeps notices from holding up requests, too. The SDK waits for the end of each before it sends anything
    else, so on a dead line one notice would hold every later call. So notices are sent beside the requests.
    Only the one that ends the handshake is waited for, by each request for itself. And on 2025-11-25 the SDK
    goes on waiting for the answer to a call that was cancelled, which in the end would take every connection;
    here it is given up.

    Args:
        failures: where the failures are kept.
        asked: what messages call a request.
        notices: the task group in which notices are sent.
        options: of `httpx2.AsyncClient`.
    """

    def __init__(
        self, failures: Failures, asked: Asked, notices: anyio.abc.TaskGroup, **options: Any
    ) -> None:
        super().__init__(**options)
        self._failures = failures
        self._asked = asked
        self._notices = notices
        self._noticing = anyio.CapacityLimiter(NOTICES_AT_ONCE)
        self._under_way: set[_UnderWay] = set()
        self._log = structlog.get_logger()
        self._refused_probe: GatewayError | None = None
        self._initialized: anyio.Event | None = None
        self._not_open: GatewayError | None = None

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request; see the class."""
        if request.method != "POST":
            return await super().send(request, **options)
        if _NOTIFICATION in request.content:
            match _method_of(request):
                case "notifications/cancelled":
                    await self._abandon(request)
                    self._notices.start_soon(self._tell_cancelled, request)
                    return httpx2.Response(202, request=request)
                case "notifications/initialized":
                    self._initialized = anyio.Event()
                    self._notices.start_soon(self._tell_initialized, request, self._initialized)
                    return httpx2.Response(202, request=request)
                case _:
                    pass
        refused, self._refused_probe = self._refused_probe, None
        if refused is not None and _method_of(request) == "initialize":
            # The SDK follows a failed probe with a handshake. What refuses the one refuses the other, and
            # each refusal can count against this address: five 429s lock it out of ContextForge.
            return self._explained(refused, request)
        under_way = _UnderWay(request, anyio.CancelScope())
        self._under_way.add(under_way)
        try:
            with under_way.scope:
                if self._initialized is not None:
                    await self._initialized.wait()
                if self._not_open is not None:
                    return self._explained(self._not_open, request)
                return await self._send(under_way, options)
        finally:
            if under_way.response is None:
                self._under_way.discard(under_way)
        # Nobody waits for this answer, but the SDK wants one.
        return httpx2.Response(400, request=request)

    async def _send(self, under_way: _UnderWay, options: Mapping[str, Any]) -> httpx2.Response:
        request = under_way.request
        error: GatewayError
        try:
            response = await super().send(request, **options)
            explained = await self._judge(response, request)
        except (httpx2.TransportError, httpx2.DecodingError) as failed:
            error = self._trouble(failed)
        else:
            if explained is None:
                return self._followed(response, under_way)
            await response.aclose()
            error = explained
        if _refuses_everything(error) and _method_of(request) == "server/discover":
            self._refused_probe = error
        return self._explained(error, request)

    def _followed(self, response: httpx2.Response, under_way: _UnderWay) -> httpx2.Response:
        """The answer; where it is an event stream, with an end that is explained."""
        stream = response.stream
        if response.is_closed or not isinstance(stream, httpx2.AsyncByteStream):
            return response
        if not _is_event_stream(response) or "content-encoding" in response.headers:
            # What is compressed can't be continued in plain text.
            return response

        def explain(failed: httpx2.TransportError, resumable: bool) -> bytes:
            if resumable and under_way in self._under_way:
                raise failed
            told = json.dumps(self._failures.answer(self._trouble(failed)))
            # The event that broke off becomes one of a kind that nobody listens to.
            return f"\nevent: broken-off\n\nevent: message\ndata: {told}\n\n".encode()

        def ended() -> None:
            self._under_way.discard(under_way)

        under_way.response = response
        response.stream = _Events(stream, explain, ended)
        return response

    async def _abandon(self, notice: httpx2.Request) -> None:
        """Wait no longer for the answer that a notice of cancellation names."""
        named = (as_object(_message_of(notice).get("params")) or {}).get("requestId")
        for under_way in tuple(self._under_way):
            if _message_of(under_way.request).get("id") == named:
                self._under_way.discard(under_way)
                under_way.scope.cancel()
                if under_way.response is not None:
                    await under_way.response.aclose()

    async def _tell_cancelled(self, notice: httpx2.Request) -> None:
        async with self._noticing:
            if (failed := await self._notify(notice, CANCEL_NOTICE_S)) is not None:
                self._log.debug("cancel_notice_failed", error=failed)

    async def _tell_initialized(self, notice: httpx2.Request, done: anyio.Event) -> None:
        failed = await self._notify(notice, INITIALIZED_S)
        if failed is not None:
            self._not_open = GatewayFailed(
                f"{self._asked.what}: the session could not be opened: {failed}.",
                "See the gateway's log for why.",
            )
            self._not_open.reached_tool = False
        done.set()

    async def _notify(self, notice: httpx2.Request, limit_s: float) -> str | None:
        """Send a notice; why it did not arrive, or None where it may have."""
        with anyio.move_on_after(limit_s):
            try:
                await super().send(notice)
            except (httpx2.TransportError, httpx2.DecodingError) as failed:
                return one_line(str(failed)) or type(failed).__name__
            return None
        return f"no answer within {limit_s:g} s"

    def _trouble(self, failed: httpx2.RequestError) -> GatewayError:
        late_s = self._limit_s(failed)
        return trouble_error(type(failed).__name__, str(failed), self._asked, late_s)

    async def _judge(self, response: httpx2.Response, request: httpx2.Request) -> GatewayError | None:
        """What is wrong with an answer; None when the SDK can read it."""
        status = response.status_code
        if response.next_request is not None or status == 202:
            # The SDK follows a redirect within the origin, and says of any other where it leads.
            return None
        if response.is_success and _is_event_stream(response):
            return None
        content_type = response.headers.get("content-type", "").lower()
        body = (await response.aread()).strip()
        if not response.is_success:
            # Servers answer a request they don't accept with a 400 or 404 that holds a JSON-RPC error.
            if SESSION_HEADER in request.headers and _says_session_lost(status, body):
                return SessionLost(status, f"{self._asked.what} was answered {status}: the session is gone.")
            if status in (400, 404) and _is_rpc_error(body):
                return None
            return status_error(status, response.headers, body, self._asked)
        whole = body.startswith(b"{") and body.endswith(b"}")
        if whole and content_type.startswith("application/json"):
            return None
        return not_json(body, content_type, self._asked)

    def _explained(self, error: GatewayError, request: httpx2.Request) -> httpx2.Response:
        answer = self._failures.answer(error)
        return httpx2.Response(400, json=answer, request=request)

    def _limit_s(self, failed: httpx2.RequestError) -> float | None:
        if isinstance(failed, httpx2.ConnectTimeout):
            return self.timeout.connect
        return self.timeout.read if isinstance(failed, httpx2.TimeoutException) else None


class _Events(httpx2.AsyncByteStream):
    """An event stream whose end by a failure of the connection is told as its last event.

    Args:
        inner: the stream.
        explain: the bytes that tell a failure, or the failure itself; told whether the stream can be resumed.
        ended: called when it is closed.
    """

    def __init__(
        self,
        inner: httpx2.AsyncByteStream,
        explain: Callable[[httpx2.TransportError, bool], bytes],
        ended: Callable[[], None],
    ) -> None:
        self._inner = inner
        self._explain = explain
        self._ended = ended
        self._resumable = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        line_start = b"\n"
        try:
            async for chunk in self._inner:
                # An event with an id can be asked for again: the SDK goes on after it by itself.
                self._resumable = self._resumable or b"\nid:" in line_start + chunk
                line_start = chunk[-3:]
                yield chunk
        except httpx2.TransportError as failed:
            yield self._explain(failed, self._resumable)

    async def aclose(self) -> None:
        """Close the stream."""
        self._ended()
        await self._inner.aclose()


def _is_event_stream(response: httpx2.Response) -> bool:
    return response.headers.get("content-type", "").lower().startswith("text/event-stream")


def _message_of(request: httpx2.Request) -> Mapping[str, Any]:
    try:
        return as_object(decode(request.content)) or {}
    except (ValueError, RecursionError):
        return {}


def _method_of(request: httpx2.Request) -> str:
    method = _message_of(request).get("method")
    return method if isinstance(method, str) else ""


def _is_rpc_error(body: bytes) -> bool:
    try:
        message = as_object(decode(body)) or {}
    except (ValueError, RecursionError):
        return False
    return as_object(message.get("error")) is not None and message.get("jsonrpc") == "2.0"


def _says_session_lost(status: int, body: bytes) -> bool:
    """Whether a request with a session id was refused for it: 404 says the protocol, 400 some servers."""
    return status == 404 or (status == 400 and b"session" in body.lower())


def _refuses_everything(error: GatewayError) -> bool:
    """Whether every other request would fare the same."""
    if isinstance(error, GatewayRejected):
        return error.status in (401, 403)
    return isinstance(error, GatewayUnreachable | GatewayBusy)
