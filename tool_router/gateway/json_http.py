"""JSON over HTTP with every failure told apart: what ContextForge's REST and JSON-RPC are spoken with.

Its connections, like those of `mcp_http`, come from a `ConnectionPool`. Both use httpx2: httpx 0.28 loses a
place of its pool with each request that is cancelled while it waits for one, until none is left.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2

from tool_router.errors import ConfigError
from tool_router.gateway.http_errors import Asked, not_json, status_error, trouble_error
from tool_router.gateway.json_value import decode

CONNECT_LIMIT_S = 30.0
"""No setting makes a connection wait longer: a gateway that doesn't accept in this time does not run."""

KEEP_ALIVE_S = 4.0
"""Idle connections are dropped before the far side drops them: uvicorn, ContextForge's server, does after
5 s, and a request that meets that moment breaks off without it being known whether it arrived."""

MAX_CONNECTIONS = 10
"""Connections to one host at once; further requests wait for one of them (DESIGN, section 5)."""

IDLE_LIMIT_S = 300.0
"""After so long without a request every connection is closed; httpx2 alone waits for the next request."""

AGE_LIMIT_S = 3600.0
"""An older connection takes no new request: behind a name the address may have changed since."""

Clock = Callable[[], float]
"""Monotonic seconds."""

_Done = Callable[[], Awaitable[None]]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: its decoded JSON, and its ETag where it has one.

    Attributes:
        unchanged: 304: what was read under that ETag still holds, and `value` is None.
    """

    value: Any
    etag: str = ""
    unchanged: bool = False


@dataclass(eq=False, slots=True)
class _Generation:
    """A client and the requests that use its connections."""

    client: httpx2.AsyncClient
    born_at: float
    users: int = 0


class ConnectionPool(httpx2.AsyncBaseTransport):
    """The connections to one host, as a transport for clients: few, not idle for long, never old.

    httpx2 sets no age to a connection. So the client that holds them is replaced between requests; the
    requests under way end on the old one, which is closed after the last of them.

    Args:
        tls: `tls_context` of the host; shared, because reading the trusted certificates takes a tenth of a
            second.
        trust_env: whether the environment's proxies are used.
        clock: monotonic seconds; the event loop's by default.
    """

    def __init__(self, tls: ssl.SSLContext, *, trust_env: bool, clock: Clock = anyio.current_time) -> None:
        self._tls = tls
        self._trust_env = trust_env
        self._clock = clock
        self._current: _Generation | None = None
        self._retired: set[_Generation] = set()
        self._used_at = 0.0
        self._wanted = anyio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Let connections be made, and close them all at the end."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._close_idle)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()
                    left, self._current = self._current, None
                    for generation in (*self._retired, *((left,) if left else ())):
                        await self._close(generation)
        except BaseExceptionGroup as group:
            # That a task group is used here must not change what the caller's block raises.
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send over a connection that is not too old; the transport's part of `httpx2.AsyncClient`."""
        generation = await self._take()
        try:
            response = await generation.client.send(request, stream=True)
        except BaseException:
            await self._give_back(generation)
            raise

        async def give_back() -> None:
            await self._give_back(generation)

        response.stream = _Borrowed(response.stream, give_back)
        return response

    async def _take(self) -> _Generation:
        old = self._current
        now = self._clock()
        if old is None or now - old.born_at >= AGE_LIMIT_S:
            limits = httpx2.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE_S,
            )
            client = httpx2.AsyncClient(verify=self._tls, limits=limits, trust_env=self._trust_env)
            self._current = _Generation(client, now)
            self._wanted.set()
        else:
            self._current, old = old, None
        taken = self._current
        taken.users += 1
        if old is not None:
            self._retired.add(old)
            if not old.users:
                await self._close(old)
        return taken

    async def _give_back(self, generation: _Generation) -> None:
        generation.users -= 1
        self._used_at = self._clock()
        if generation in self._retired and not generation.users:
            await self._close(generation)

    async def _close(self, generation: _Generation) -> None:
        self._retired.discard(generation)
        with anyio.CancelScope(shield=True):
            await generation.client.aclose()

    async def _close_idle(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            while (current := self._current) is not None:
                idle_s = 0.0 if current.users else self._clock() - self._used_at
                if idle_s < IDLE_LIMIT_S:
                    await anyio.sleep(IDLE_LIMIT_S - idle_s)
                    continue
                self._current = None
                await self._close(current)


class _Borrowed(httpx2.AsyncByteStream):
    """An answer's body; says when its connection is no longer needed."""

    def __init__(self, inner: httpx2.AsyncByteStream | httpx2.SyncByteStream, done: _Done) -> None:
        if not isinstance(inner, httpx2.AsyncByteStream):
            raise TypeError("an asynchronous client answers with an asynchronous stream")
        self._inner = inner
        self._done: _Done | None = done

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk

    async def aclose(self) -> None:
        """Close the body, once."""
        done, self._done = self._done, None
        if done is not None:
            try:
                await self._inner.aclose()
            finally:
                await done()


class JsonHttp:
    """One pooled client for one base address.

    Args:
        url: the base address; paths are appended to it.
        token: bearer token; None sends none.
        connect_timeout_s: at most `CONNECT_LIMIT_S`.
        read_timeout_s: silence that ends an exchange, in seconds, where a request sets no other.
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
        clock: Clock = anyio.current_time,
    ) -> None:
        self.url = base_address(url)
        self._token = token
        self._connect_timeout_s = min(connect_timeout_s, CONNECT_LIMIT_S)
        self._read_timeout_s = read_timeout_s
        self._clock = clock
        self._client: httpx2.AsyncClient | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Hold the pool; nothing is connected before the first request."""
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        # A proxy configured for the internet can't reach this machine's own gateway.
        pool = ConnectionPool(tls_context(self.url), trust_env=not is_loopback(self.url), clock=self._clock)
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

    async def post(self, path: str, body: bytes, *, read_timeout_s: float) -> Answer:
        """Send JSON.

        Raises:
            GatewayError: there was no 2xx answer with JSON in it.
        """
        return await self._ask("POST", path, body=body, read_timeout_s=read_timeout_s)

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


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own."""
    return httpx2.URL(url).host in _LOOPBACK


def tls_context(url: str) -> ssl.SSLContext:
    """Whom an address's host may be certified by: the system's authorities, or what the environment names.

    Nobody for plain http on this machine, where TLS is met only after a redirect that leads astray.
    """
    if is_loopback(url) and httpx2.URL(url).scheme == "http":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx2.create_ssl_context(trust_env=not is_loopback(url))


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
