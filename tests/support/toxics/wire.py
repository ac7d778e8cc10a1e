"""Sockets as the proxy needs them: closed in order or with an RST, and a listener that can stop accepting."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel

_BACKLOG = 128
_FILLERS = 64


class Wire:
    """One end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock

    async def receive(self) -> bytes:
        """What has arrived; nothing when this end has ended, in whatever way."""
        # A busy sender must not keep the others from their turn.
        await anyio.lowlevel.checkpoint()
        while self._sock.fileno() >= 0:
            try:
                return self._sock.recv(65536)
            except BlockingIOError:
                if not await _waited(anyio.wait_readable, self._sock):
                    break
            except OSError:
                break
        return b""

    async def send(self, data: bytes) -> bool:
        """Send all of it; False when this end takes no more."""
        view = memoryview(data)
        while view and self._sock.fileno() >= 0:
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                if not await _waited(anyio.wait_writable, self._sock):
                    break
            except OSError:
                break
        return not view

    def close(self, *, reset: bool = False) -> None:
        """Close with a FIN, or with an RST."""
        if self._sock.fileno() < 0:
            return
        if reset:
            # Lingering for no time discards what was not sent and says so (SO_LINGER, socket(7)).
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        anyio.notify_closing(self._sock)
        self._sock.close()


class Door:
    """A listening socket on 127.0.0.1 that can be shut without refusing: attempts to connect hang."""

    def __init__(self) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._sock.setblocking(False)
        self._fillers: list[socket.socket] = []
        self._opened = anyio.Event()
        self._opened.set()
        self.port: int = self._sock.getsockname()[1]

    async def accept(self) -> Wire | None:
        """The next connection; None when the door is gone."""
        while self._sock.fileno() >= 0:
            await self._opened.wait()
            try:
                return Wire(self._sock.accept()[0])
            except BlockingIOError:
                if not await _waited(anyio.wait_readable, self._sock):
                    break
            except OSError:
                break
        return None

    def shut(self) -> None:
        """Fill the backlog: Linux then drops what asks for a connection (listen(2), tcp(7))."""
        if self._fillers:
            return
        self._opened = anyio.Event()
        self._sock.listen(0)
        for _ in range(_FILLERS):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)
            # Handshakes on loopback are over at once, so one that is not will not be.
            if not select.select([], [filler], [], 0.02)[1]:
                return
        raise RuntimeError("this kernel accepts connections for a listener whose backlog is full")

    def open(self) -> None:
        """Accept again."""
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        self._sock.listen(_BACKLOG)
        self._opened.set()

    def close(self) -> None:
        """Refuse from now on."""
        self.open()
        anyio.notify_closing(self._sock)
        self._sock.close()


async def _waited(wait: Callable[[socket.socket], Awaitable[None]], sock: socket.socket) -> bool:
    """Wait for a socket; False when it was closed meanwhile."""
    try:
        await wait(sock)
    except (anyio.ClosedResourceError, OSError, ValueError):
        return False
    return True
