"""A daemon's application over real sockets in the test's own loop."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.client import ConnectMode
from mcp.client.streamable_http import streamable_http_client

from service_manager.daemon.activity import Activity
from service_manager.daemon.app import DaemonApp
from service_manager.daemon.control import Control
from service_manager.daemon.guard import Guard
from service_manager.daemon.view import Json
from service_manager.endpoint.endpoints import Endpoints
from service_manager.lifecycle.changes import Changes
from service_manager.model import State
from service_manager.monitor.snapshot import ServiceUse, Snapshot
from tests.integration.daemon.standin import Service, Standin
from tests.integration.daemon.wire_client import Era, WireClient
from tests.support.loopback import serve

RAW = (sys.executable, str(Path(__file__).with_name("raw_service.py")))
TOKEN = "the-token-of-this-test"


@dataclass
class Served:
    """A daemon that serves."""

    url: str
    manager: Standin
    activity: Activity
    ended: anyio.Event
    control: Control
    endpoints: Endpoints

    def http(self, headers: Mapping[str, str] | None = None) -> httpx2.AsyncClient:
        """A client that shows the token, or other headers."""
        shown = {"Authorization": f"Bearer {TOKEN}"} if headers is None else dict(headers)
        return httpx2.AsyncClient(base_url=self.url, headers=shown, timeout=60, trust_env=False, verify=False)

    @asynccontextmanager
    async def client(
        self, name: str = "raw", mode: ConnectMode = "auto", **more: Any
    ) -> AsyncGenerator[Client]:
        """An MCP client of a service's endpoint."""
        url = f"{self.url}/services/{name}/mcp"
        async with (
            self.http() as http,
            Client(streamable_http_client(url, http_client=http), mode=mode, cache=None, **more) as client,
        ):
            yield client

    @asynccontextmanager
    async def wire(self, era: Era, name: str = "raw") -> AsyncGenerator[WireClient]:
        """A client without an SDK, connected."""
        async with self.http() as http:
            client = WireClient(http, f"/services/{name}/mcp", era)
            await client.connect()
            yield client

    async def asleep(self, name: str = "raw") -> None:
        """Have a service learnt of and asleep."""
        await self.manager.ready(name)
        await self.manager.sleep(name)


@asynccontextmanager
async def serving(**services: Sequence[str]) -> AsyncGenerator[Served]:
    """Serve services, by name their argv; `raw` is the raw service by default."""
    manager = Standin({name: Service(argv) for name, argv in (services or {"raw": RAW}).items()})
    endpoints, activity, ended = Endpoints(manager), Activity(), anyio.Event()

    async def reload() -> Changes:
        return Changes(("new",))

    async def usage() -> Json:
        uses = await manager.usage()
        services = tuple(ServiceUse(name, State.RUNNING, use) for name, use in uses.items())
        return Snapshot(None, 30.0, services=services).plain()

    control = Control(manager, {"pid": 1, "instance": "one"}, reload, ended.set, usage)
    app = DaemonApp(Guard(TOKEN), endpoints, control, activity)
    async with manager.open(), endpoints.open(), serve(app) as loopback:
        yield Served(loopback.url, manager, activity, ended, control, endpoints)
        endpoints.close_all()
