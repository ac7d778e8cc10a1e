"""The proxy itself: accepts, dials, and tells its connections what is wrong with them."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio

from tests.support.toxics.kinds import Blackhole, Latency, Place, Reset, Toxic
from tests.support.toxics.link import Link
from tests.support.toxics.wire import Door, Wire

_Kind = TypeVar("_Kind", bound=Toxic)


class ToxicProxy:
    """A running proxy; only its own event loop may call its methods.

    Attributes:
        port: where it listens, on 127.0.0.1.
        accepted: connections so far.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._door = Door()
        self._links: set[Link] = set()
        self._toxics: tuple[Toxic, ...] = ()
        self.port = self._door.port
        self.accepted = 0

    @property
    def url(self) -> str:
        """Its root address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def links(self) -> int:
        """How many connections it carries."""
        return len(self._links)

    def poison(self, *toxics: Toxic) -> None:
        """Let these act from now on, in this order, instead of those before."""
        self._toxics = toxics
        self._door.open()
        if self._at_connect(Blackhole):
            self._door.shut()

    def heal(self) -> None:
        """Let everything pass; connections that died stay dead."""
        self.poison()

    def sever(self) -> None:
        """Close every connection, in order, so that the next request makes a new one."""
        for link in self._links:
            link.close()

    async def run(self) -> None:
        """Serve until cancelled."""
        async with anyio.create_task_group() as tasks:
            try:
                while (client := await self._door.accept()) is not None:
                    self.accepted += 1
                    tasks.start_soon(self._serve, client)
            finally:
                self._door.close()
                self.sever()

    async def _serve(self, client: Wire) -> None:
        try:
            for toxic in self._at_connect(Latency):
                await anyio.sleep(toxic.delay_s)
            if self._at_connect(Reset):
                client.close(reset=True)
            elif (server := self._dial()) is not None:
                await self._carry(client, server)
        finally:
            client.close()

    def _dial(self) -> Wire | None:
        server = socket.socket()
        try:
            # Loopback connects at once or not at all.
            server.connect(("127.0.0.1", self._target_port))
        except OSError:
            server.close()
            return None
        return Wire(server)

    async def _carry(self, client: Wire, server: Wire) -> None:
        link = Link(lambda: self._toxics, client, server)
        self._links.add(link)
        try:
            await link.run()
        finally:
            link.close()
            self._links.discard(link)

    def _at_connect(self, kind: type[_Kind]) -> list[_Kind]:
        return [one for one in self._toxics if one.place is Place.CONNECT and isinstance(one, kind)]


@asynccontextmanager
async def toxic_proxy(target_port: int) -> AsyncGenerator[ToxicProxy]:
    """A proxy before a port of 127.0.0.1 until the block is left; it begins healed."""
    proxy = ToxicProxy(target_port)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(proxy.run)
        try:
            yield proxy
        finally:
            tasks.cancel_scope.cancel()
