"""MCP over Streamable HTTP, with the cause of every failure kept.

The SDK reports each bad HTTP answer as the same JSON-RPC error, and an exception of the HTTP client ends its
whole connection with every call under way in it. So failures are caught one layer below: a failed POST
becomes an answer that the SDK hands to exactly the request it belongs to, a JSON-RPC error that names the
failure in its data.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client._transport import Transport, TransportStreams
from mcp.client.streamable_http import streamable_http_client

from tool_router.errors import GatewayBusy, GatewayError, GatewayRejected, GatewayUnreachable
from tool_router.gateway.http_errors import Asked, not_json, status_error, trouble_error
from tool_router.gateway.json_http import CONNECT_LIMIT_S, KEEP_ALIVE_S, base_address, is_loopback
from tool_router.gateway.json_value import as_object, decode
from tool_router.gateway.mcp_failure import Failures, SessionLost

SESSION_HEADER = "mcp-session-id"

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""The SDK gives up on an SSE event over 1 MiB; one image or file can be larger."""


class HttpEndpoint:
    """Where an MCP server is reached over HTTP, and how.

    Args:
        url: the endpoint itself, e.g. ``http://127.0.0.1:8000/mcp``.
        headers: sent with every request; `Authorization` among them counts as a token.
        connect_timeout_s: at most 30.
        read_timeout_s: silence that ends an exchange; the caller's cancel scope ends it sooner.

    Raises:
        ConfigError: `url` is no http or https address.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        connect_timeout_s: float = 10.0,
        read_timeout_s: float = 300.0,
    ) -> None:
        shown = base_address(url)
        self._url = url.strip()
        self._headers = dict(headers or {})
        has_token = any(name.lower() == "authorization" for name in self._headers)
        self._asked = Asked(f"POST {shown}", has_token=has_token)
        self._connect_timeout_s = min(connect_timeout_s, CONNECT_LIMIT_S)
        self._read_timeout_s = read_timeout_s
        self.label = shown
        # A query can hold a key: it tells endpoints apart only as a hash.
        query = httpx2.URL(self._url).query
        self.key = f"mcp:{shown}" + (f"#{hashlib.sha256(query).hexdigest()[:12]}" if query else "")

    def connect(self, failures: Failures) -> Transport:
        """Open the SDK's streams; nothing is sent before the first message."""
        return self._connect(failures)

    @asynccontextmanager
    async def _connect(self, failures: Failures) -> AsyncGenerator[TransportStreams]:
        timeout = httpx2.Timeout(self._read_timeout_s, connect=self._connect_timeout_s)
        client = ExplainingClient(
            failures,
            self._asked,
            headers=self._headers,
            timeout=timeout,
            limits=httpx2.Limits(
                max_connections=None, max_keepalive_connections=20, keepalive_expiry=KEEP_ALIVE_S
            ),
            trust_env=not is_loopback(self._url),
        )
        async with (
            client,
            streamable_http_client(
                self._url, http_client=client, max_sse_event_size=MAX_EVENT_BYTES
            ) as streams,
        ):
            yield streams


class ExplainingClient(httpx2.AsyncClient):
    """Sends like its base, but a POST never raises and never gives the SDK an answer it would misread.

    Args:
        failures: where the failures are kept.
        asked: what messages call a request.
        options: of `httpx2.AsyncClient`.
    """

    def __init__(self, failures: Failures, asked: Asked, **options: Any) -> None:
        super().__init__(**options)
        self._failures = failures
        self._asked = asked
        self._refused_probe: GatewayError | None = None

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request; see the class."""
        if request.method != "POST":
            return await super().send(request, **options)
        refused, self._refused_probe = self._refused_probe, None
        if refused is not None and _method_of(request) == "initialize":
            # The SDK follows a failed probe with a handshake. What refuses the one refuses the other, and
            # each refusal can count against this address: five 429s lock it out of ContextForge.
            return self._explained(refused, request)
        error: GatewayError
        try:
            response = await super().send(request, **options)
            explained = await self._judge(response, request)
        except httpx2.TransportError as failed:
            late_s = self._limit_s(failed)
            error = trouble_error(type(failed).__name__, str(failed), self._asked, late_s)
        except httpx2.DecodingError as failed:
            error = trouble_error(type(failed).__name__, str(failed), self._asked)
        else:
            if explained is None:
                return response
            await response.aclose()
            error = explained
        if _refuses_everything(error) and _method_of(request) == "server/discover":
            self._refused_probe = error
        return self._explained(error, request)

    async def _judge(self, response: httpx2.Response, request: httpx2.Request) -> GatewayError | None:
        """What is wrong with an answer; None when the SDK can read it."""
        status = response.status_code
        if response.next_request is not None or status == 202:
            # The SDK follows a redirect within the origin, and says of any other where it leads.
            return None
        content_type = response.headers.get("content-type", "").lower()
        if response.is_success and content_type.startswith("text/event-stream"):
            return None
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

    def _limit_s(self, failed: httpx2.TransportError) -> float | None:
        if isinstance(failed, httpx2.ConnectTimeout):
            return self.timeout.connect
        return self.timeout.read if isinstance(failed, httpx2.TimeoutException) else None


def _method_of(request: httpx2.Request) -> str:
    try:
        message = as_object(decode(request.content)) or {}
    except (ValueError, RecursionError):
        return ""
    method = message.get("method")
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
