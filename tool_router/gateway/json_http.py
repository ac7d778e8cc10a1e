"""JSON over HTTP with every failure told apart: what ContextForge's REST and JSON-RPC are spoken with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2

from tool_router.errors import ConfigError
from tool_router.gateway.connection_pool import (
    CONNECT_LIMIT_S,
    Clock,
    ConnectionPool,
    Reach,
    is_loopback,
    tls_context,
)
from tool_router.gateway.http_errors import Asked, not_json, status_error, trouble_error
from tool_router.gateway.json_value import decode


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: its decoded JSON, and its ETag where it has one.

    Attributes:
        unchanged: 304: what was read under that ETag still holds, and `value` is None.
    """

    value: Any
    etag: str = ""
    unchanged: bool = False


class JsonHttp:
    """One pooled client for one base address.

    Args:
        url: the base address; paths are appended to it.
        token: bearer token; None sends none.
        connect_timeout_s: at most `CONNECT_LIMIT_S`.
        read_timeout_s: silence that ends an exchange, in seconds, where a request sets no other.
        reach: how many connections there may be, and where they lead.
        clock: of the connections' age, in monotonic seconds; the event loop's by default.

    Raises:
        ConfigError: `url` is no http or https address.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        connect_timeout_s: float = 10.0,
        read_timeout_s: float = 30.0,
        reach: Reach | None = None,
        clock: Clock = anyio.current_time,
    ) -> None:
        self.url = base_address(url)
        self._token = token
        self._connect_timeout_s = min(connect_timeout_s, CONNECT_LIMIT_S)
        self._read_timeout_s = read_timeout_s
        self._reach = reach
        self._clock = clock
        self._client: httpx2.AsyncClient | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Hold the pool; nothing is connected before the first request."""
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        # A proxy configured for the internet can't reach this machine's own gateway.
        pool = ConnectionPool(
            tls_context(self.url),
            trust_env=not is_loopback(self.url),
            reach=self._reach,
            clock=self._clock,
        )
        client = httpx2.AsyncClient(
            headers=headers, timeout=self._timeout(self._read_timeout_s), transport=pool
        )
        async with pool.open(), client:
            self._client = client
            try:
                yield
            finally:
                self._client = None

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, if_none_match: str = ""
    ) -> Answer:
        """Read a resource.

        Raises:
            GatewayError: there was no 2xx answer with JSON in it.
        """
        headers = {"If-None-Match": if_none_match} if if_none_match else {}
        return await self._ask("GET", path, params=params, headers=headers)

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        read_timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send JSON.

        Raises:
            GatewayError: there was no 2xx answer with JSON in it.
        """
        return await self._ask("POST", path, body=body, headers=headers, read_timeout_s=read_timeout_s)

    def asked(self, method: str, path: str) -> Asked:
        """What messages call a request."""
        return Asked(f"{method} {self.url}{path}", has_token=bool(self._token))

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        read_timeout_s: float | None = None,
    ) -> Answer:
        if self._client is None:
            raise RuntimeError("the gateway is not open")
        asked = self.asked(method, path)
        limit_s = read_timeout_s or self._read_timeout_s
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if body is not None else {})}
        try:
            response = await self._client.request(
                method,
                self.url + path,
                params=params,
                content=body,
                headers=sent,
                timeout=self._timeout(limit_s),
            )
        except httpx2.TransportError as error:
            connecting = isinstance(error, httpx2.ConnectTimeout)
            late = isinstance(error, httpx2.TimeoutException)
            shown_s = (self._connect_timeout_s if connecting else limit_s) if late else None
            raise trouble_error(type(error).__name__, str(error), asked, shown_s) from error
        except httpx2.DecodingError as error:
            raise trouble_error(type(error).__name__, str(error), asked) from error
        return _decoded(response, asked)

    def _timeout(self, read_s: float) -> httpx2.Timeout:
        return httpx2.Timeout(read_s, connect=self._connect_timeout_s)


def base_address(url: str) -> str:
    """The address without a trailing slash, query or fragment.

    Raises:
        ConfigError: it is no http or https address.
    """
    hint = "Write it like http://127.0.0.1:4444 or https://gateway.example.com."
    try:
        urlsplit(url)
        parsed = httpx2.URL(url.strip())
    except (httpx2.InvalidURL, ValueError) as error:
        raise ConfigError(f"gateway.url {url!r} is no address: {error}.", hint) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"gateway.url {url!r} is no http or https address.", hint)
    if parsed.userinfo:
        raise ConfigError(
            "gateway.url holds a user name or password.", "Put the token into GATEWAY_TOKEN or gateway.token."
        )
    return str(parsed.copy_with(query=None, fragment=None)).rstrip("/")


def _decoded(response: httpx2.Response, asked: Asked) -> Answer:
    if response.status_code == 304:
        return Answer(None, unchanged=True)
    if not response.is_success:
        raise status_error(response.status_code, response.headers, response.content, asked)
    try:
        value = decode(response.content)
    except (ValueError, RecursionError):
        raise not_json(response.content, response.headers.get("content-type", ""), asked) from None
    return Answer(value, etag=response.headers.get("etag", ""))
