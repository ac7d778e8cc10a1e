"""The connections to one host: few, not idle for long, never old.

Built on httpx2: httpx 0.28 loses a place of its pool with each request that is cancelled while it waits for
one, until none is left.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import httpx2

from tool_router.tasks import plain_task_group

CONNECT_LIMIT_S = 30.0
"""No setting makes a connection wait longer: a gateway that doesn't accept in this time does not run."""

KEEP_ALIVE_S = 4.0
"""Idle connections are dropped before the far side drops them: uvicorn, ContextForge's server, does after
5 s, and a request that meets that moment breaks off without it being known whether it arrived."""

MAX_CONNECTIONS = 10
"""Connections to one host at once, where a setting says no other number; further requests wait."""

IDLE_LIMIT_S = 300.0
"""After so long without a request every connection is closed; httpx2 alone waits for the next request."""

AGE_LIMIT_S = 3600.0
"""An older connection takes no new request: behind a name the address may have changed since."""

Clock = Callable[[], float]
"""Monotonic seconds."""

_Done = Callable[[], Awaitable[None]]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Reach:
    """How a host is reached.

    Attributes:
        connections: to it at once.
        address: the IP address and the port that are connected to, instead of those its name leads to; the
            `Host` header and the certificate stay those of the name. None leaves it to the name.
    """

    connections: int = MAX_CONNECTIONS
    address: tuple[str, int] | None = None


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
        reach: how many there may be, and where they lead.
        clock: monotonic seconds; the event loop's by default.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        *,
        trust_env: bool,
        reach: Reach | None = None,
        clock: Clock = anyio.current_time,
    ) -> None:
        self._tls = tls
        self._reach = reach or Reach()
        self._trust_env = trust_env
        self._clock = clock
        self._current: _Generation | None = None
        self._retired: set[_Generation] = set()
        self._used_at = 0.0
        self._wanted = anyio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Let connections be made, and close them all at the end."""
        async with plain_task_group() as tasks:
            tasks.start_soon(self._close_idle)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                left, self._current = self._current, None
                for generation in (*self._retired, *((left,) if left else ())):
                    await self._close(generation)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send over a connection that is not too old; the transport's part of `httpx2.AsyncClient`."""
        if self._reach.address is not None:
            host, port = self._reach.address
            # The Host header is set already; TLS is told the name apart.
            request.extensions = {**request.extensions, "sni_hostname": request.url.host}
            request.url = request.url.copy_with(host=host, port=port)
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
                max_connections=self._reach.connections,
                max_keepalive_connections=self._reach.connections,
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
