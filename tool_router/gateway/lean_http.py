"""HTTP/1.1 to a daemon of this machine, with as little as a request needs: it is part of every call.

A request is one write, and an answer is read as it comes; there are no redirects, cookies, proxies or TLS.
The protocol itself is h11's. What it comes to is measured by scripts/bench_daemon.
"""

from __future__ import annotations

import select
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

import anyio
import anyio.abc
import h11

from service_manager.daemon.address import CONNECT_S, Address

KEPT_S = 30.0
"""A connection that was idle for longer is not used again; the daemon closes them after 75 s."""

MOST_KEPT = 32
"""Connections that are kept for later requests."""

READ_BYTES = 65_536

_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, h11.RemoteProtocolError)


class NotSent(Exception):
    """There is no connection: nothing of the request was sent."""


class HungUp(Exception):
    """The connection broke, or made no sense, after the request was sent at least in part."""


class Answer:
    """An answer whose headers have arrived.

    Attributes:
        status: its HTTP status.
        content_type: as it was sent, empty where it was not.
    """

    def __init__(self, connection: _Connection, response: h11.Response) -> None:
        self._connection = connection
        self.status = response.status_code
        found = (value for name, value in response.headers if name == b"content-type")
        self.content_type = next(found, b"").decode("latin-1")

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return self.status < HTTPStatus.MULTIPLE_CHOICES

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body, in the pieces in which it arrives.

        Raises:
            HungUp: it ended too early.
        """
        while isinstance(event := await self._connection.event(), h11.Data):
            yield bytes(event.data)

    async def read(self) -> bytes:
        """The whole body. Raises as `chunks` does."""
        return b"".join([chunk async for chunk in self.chunks()])


class LeanHttp:
    """Requests to one daemon, any number at once, each on a connection of its own.

    Args:
        address: where the daemon is.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        place = urlsplit(address.url)
        self._tcp = (place.hostname or "127.0.0.1", place.port or 80)
        self._headers = (("Host", place.netloc), ("Authorization", f"Bearer {address.token}"))
        self._idle: list[_Connection] = []

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Hold connections while the block is held."""
        try:
            yield
        finally:
            while self._idle:
                await self._idle.pop().close()

    @asynccontextmanager
    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> AsyncGenerator[Answer]:
        """Send a request; leaving the block before the body was read closes its connection.

        Raises:
            NotSent: the daemon can't be reached.
            HungUp: it ended, or broke the connection off, before it answered.
        """
        connection = await self._kept() or await self._connect()
        done = False
        try:
            length = ("Content-Length", str(len(body)))
            request = h11.Request(
                method="POST", target=path, headers=[*self._headers, *headers.items(), length]
            )
            yield Answer(connection, await connection.ask(request, body))
            done = connection.again()
        finally:
            if done and len(self._idle) < MOST_KEPT:
                self._idle.append(connection)
            else:
                await connection.close()

    async def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable():
                return connection
            await connection.close()
        return None

    async def _connect(self) -> _Connection:
        try:
            with anyio.fail_after(CONNECT_S):
                if self._address.socket:
                    return _Connection(await anyio.connect_unix(self._address.socket))
                return _Connection(await anyio.connect_tcp(*self._tcp))
        except (OSError, TimeoutError) as error:
            raise NotSent(str(error) or type(error).__name__) from error


class _Connection:
    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        self._stream = stream
        self._socket = stream.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610  # not Django's
        self._state = h11.Connection(h11.CLIENT)
        self._used_at = 0.0

    async def ask(self, request: h11.Request, body: bytes) -> h11.Response:
        """Send a request and wait for the headers of its answer."""
        pieces = [self._state.send(event) for event in (request, h11.Data(body), h11.EndOfMessage())]
        try:
            await self._stream.send(b"".join(piece for piece in pieces if piece))
        except _BROKEN as error:
            raise HungUp(str(error) or type(error).__name__) from error
        while not isinstance(event := await self.event(), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise HungUp("the connection was closed")
        return event

    async def event(self) -> object:
        """What comes next."""
        try:
            while (event := self._state.next_event()) is h11.NEED_DATA:
                try:
                    data = await self._stream.receive(READ_BYTES)
                except anyio.EndOfStream:
                    data = b""
                self._state.receive_data(data)
        except _BROKEN as error:
            raise HungUp(str(error) or type(error).__name__) from error
        return event

    def again(self) -> bool:
        """Make ready for the next request; False when the answer was not read whole, or was the last."""
        if self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        self._state.start_next_cycle()
        self._used_at = anyio.current_time()
        return True

    def usable(self) -> bool:
        """Whether it is open still: one that can be read from while nothing was asked has been closed."""
        descriptor = self._socket.fileno()
        if descriptor < 0 or anyio.current_time() - self._used_at > KEPT_S:
            return False
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return not poll.poll(0)

    async def close(self) -> None:
        """Close it, also where the caller was cancelled."""
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(self._stream)
