"""The servers behind the proxies: ContextForge and an MCP endpoint at one address, in a thread of their own.

There they disturb no measurement of the loop under test: its tasks are the gateway's alone, whatever backend
runs it.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.gateway_server import ContextForge
from tests.support.loopback import FaultyApp, Loopback, serve
from tests.support.mcp_http_server import Calls, build_server
from tests.support.toxics import ToxicProxy, toxic_proxy


@dataclass(frozen=True, slots=True)
class FarSide:
    """What a test sees of the servers.

    Attributes:
        requests: records every request that arrived whole.
    """

    portal: BlockingPortal
    requests: FaultyApp
    loopback: Loopback

    @property
    def port(self) -> int:
        """Where both listen."""
        return int(self.loopback.url.rpartition(":")[2])

    @contextmanager
    def proxy(self) -> Generator[ToxicProxy]:
        """A proxy of its own for one gateway; call its methods through `portal`."""
        with self.portal.wrap_async_context_manager(toxic_proxy(self.port)) as proxy:
            yield proxy

    def calls_of(self, text: str) -> int:
        """How many requests that hold this text arrived."""
        quoted = text.encode()
        return sum(quoted in seen.body for seen in list(self.requests.seen))

    def forget(self) -> None:
        """Forget what has arrived: looking for a call takes as long as there is to look through."""
        self.requests.seen.clear()


@contextmanager
def far_side() -> Generator[FarSide]:
    """Run the servers until the block is left."""
    # The SDK's servers log each request for people, which takes longer than to answer it.
    logging.disable(logging.INFO)
    try:
        with start_blocking_portal("asyncio") as portal:
            requests = portal.call(_app)
            with portal.wrap_async_context_manager(serve(requests)) as loopback:
                yield FarSide(portal, requests, loopback)
    finally:
        logging.disable(logging.NOTSET)


async def _app() -> FaultyApp:
    gateway = ContextForge().faulty.app
    endpoint = build_server(Calls()).streamable_http_app()

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        # The endpoint's lifespan runs its sessions; ContextForge has none.
        app: ASGIApp = endpoint if scope["type"] == "lifespan" or scope["path"] == "/mcp" else gateway
        await app(scope, receive, send)

    return FaultyApp(either)
