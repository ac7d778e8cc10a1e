"""Where an MCP server is reached over Streamable HTTP, and how."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio
import httpx2
from mcp.client._transport import Transport, TransportStreams
from mcp.client.streamable_http import streamable_http_client

from tool_router.gateway.connection_pool import (
    CONNECT_LIMIT_S,
    Clock,
    ConnectionPool,
    Reach,
    is_loopback,
    tls_context,
)
from tool_router.gateway.explaining_client import ExplainingClient
from tool_router.gateway.http_errors import Asked
from tool_router.gateway.json_http import base_address
from tool_router.gateway.mcp_failure import Failures

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""The SDK gives up on an SSE event over 1 MiB; one image or file can be larger."""


class HttpEndpoint:
    """Where an MCP server is reached over HTTP, and how.

    Args:
        url: the endpoint itself, e.g. ``http://127.0.0.1:8000/mcp``.
        headers: sent with every request; `Authorization` among them counts as a token.
        connect_timeout_s: at most 30.
        read_timeout_s: silence that ends an exchange; the caller's cancel scope ends it sooner.
        reach: how many connections there may be, and where they lead.
        clock: of the TCP connections' age, in monotonic seconds; the event loop's by default.

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
        reach: Reach | None = None,
        clock: Clock = anyio.current_time,
    ) -> None:
        shown = base_address(url)
        self._url = url.strip()
        self._headers = dict(headers or {})
        has_token = any(name.lower() == "authorization" for name in self._headers)
        self._asked = Asked(f"POST {shown}", has_token=has_token)
        self._connect_timeout_s = min(connect_timeout_s, CONNECT_LIMIT_S)
        self._read_timeout_s = read_timeout_s
        self._reach = reach
        self._clock = clock
        self._tls: ssl.SSLContext | None = None
        self.cheap_to_open = True
        self.label = shown
        # A query can hold a key: it tells endpoints apart only as a hash.
        query = httpx2.URL(self._url).query
        self.key = f"mcp:{shown}" + (f"#{hashlib.sha256(query).hexdigest()[:12]}" if query else "")

    def connect(self, failures: Failures) -> Transport:
        """Open the SDK's streams; nothing is sent before the first message."""
        return self._connect(failures)

    @asynccontextmanager
    async def _connect(self, failures: Failures) -> AsyncGenerator[TransportStreams]:
        self._tls = self._tls or tls_context(self._url)
        pool = ConnectionPool(
            self._tls, trust_env=not is_loopback(self._url), reach=self._reach, clock=self._clock
        )
        async with pool.open(), anyio.create_task_group() as notices:
            client = ExplainingClient(
                failures,
                self._asked,
                notices,
                headers=self._headers,
                timeout=httpx2.Timeout(self._read_timeout_s, connect=self._connect_timeout_s),
                transport=pool,
            )
            try:
                async with (
                    client,
                    streamable_http_client(
                        self._url, http_client=client, max_sse_event_size=MAX_EVENT_BYTES
                    ) as streams,
                ):
                    yield streams
            finally:
                # Not before the SDK has left: it says goodbye to the server, for which it needs its task.
                notices.cancel_scope.cancel()
