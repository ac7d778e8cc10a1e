"""A service that already runs elsewhere: an address, and nothing to start, stop or put to sleep."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio
import httpx2
from mcp.client._transport import Transport
from mcp.client.streamable_http import streamable_http_client

from service_manager.drivers.awake import AlwaysAwake
from service_manager.drivers.protocol import Sleeper
from service_manager.errors import ServiceStartFailed
from service_manager.journal import Journal
from service_manager.model import Command, ServiceSpec, UrlSource
from service_manager.resources import Limits, MemoryUse, ResourceUse


class RemoteDriver:
    """Connects to services that are given by ``url:``."""

    @asynccontextmanager
    async def run(
        self, spec: ServiceSpec, command: Command, limits: Limits, journal: Journal
    ) -> AsyncGenerator[RemoteService]:
        """Hold a connection until the block is left.

        Raises:
            ServiceStartFailed: the service is not given by an address.
        """
        if not isinstance(spec.source, UrlSource):
            raise ServiceStartFailed(f"{spec.name} has no address.", "Add `url:` to it in services.yml.")
        async with httpx2.AsyncClient(
            headers=dict(spec.source.headers), timeout=spec.start_timeout_s
        ) as client:
            yield RemoteService(streamable_http_client(spec.source.url, http_client=client))


class RemoteService:
    """A service behind an address; see `service_manager.drivers.protocol.Running`."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.pid: int | None = None
        self.sleeper: Sleeper = AlwaysAwake()
        self.enforced: Mapping[str, str] = {}

    async def wait(self) -> None:
        """Never return: whether it ends is not ours to see."""
        await anyio.sleep_forever()

    def last_words(self) -> tuple[str, ...]:
        """Nothing: its stderr is elsewhere."""
        return ()

    def ending(self) -> str:
        """Nothing, for the same reason."""
        return ""

    async def usage(self) -> ResourceUse:
        """Nothing on this machine."""
        return ResourceUse(0.0, MemoryUse(0), processes=0)

    async def health(self) -> str:
        """Nothing: nobody looks at it for us."""
        return ""
