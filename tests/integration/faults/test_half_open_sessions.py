"""A line that dies between the handshake of 2025-11-25 and the notice that ends it."""

from __future__ import annotations

from collections.abc import Generator

import anyio
import pytest
from mcp.types import CallToolResult
from starlette.types import Message, Receive, Scope, Send

from tests.integration.faults.far_side import FarSide
from tests.support.loopback import never
from tool_router.catalog.model import Tool
from tool_router.errors import GatewayFailed
from tool_router.gateway import explaining_client
from tool_router.gateway.mcp_http import HttpEndpoint
from tool_router.gateway.mcp_link import McpLink
from tool_router.gateway.protocol import no_progress

pytestmark = [pytest.mark.anyio, pytest.mark.alone]

ECHO = Tool(id="everything::echo", name="echo", call_name="echo")


@pytest.fixture
def deaf(far: FarSide) -> Generator[FarSide]:
    """The servers, deaf to the notice."""

    async def fault(scope: Scope, receive: Receive, send: Send) -> None:
        unread = [await receive()]

        async def again() -> Message:
            return unread.pop() if unread else await receive()

        if b"notifications/initialized" in unread[0].get("body", b""):
            await never(scope, receive, send)
        else:
            await far.requests.app(scope, again, send)

    far.requests.faults["/mcp"] = fault
    try:
        yield far
    finally:
        far.requests.faults.clear()


async def test_a_caller_who_waits_for_it_is_let_go_at_its_deadline(deaf: FarSide) -> None:
    link = McpLink(HttpEndpoint(f"{deaf.loopback.url}/mcp"), mode="legacy")
    async with link.open():
        await link.connect()
        began = anyio.current_time()
        with anyio.move_on_after(0.2):
            await link.call(ECHO, {"text": "x"}, no_progress)
        assert anyio.current_time() - began < 0.5


async def test_it_is_a_failure_that_reached_no_tool_and_the_next_call_opens_a_new_session(
    deaf: FarSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining_client, "INITIALIZED_S", 0.2)
    deaf.forget()
    link = McpLink(HttpEndpoint(f"{deaf.loopback.url}/mcp"), mode="legacy")
    async with link.open():
        with anyio.fail_after(5), pytest.raises(GatewayFailed, match="could not be opened") as caught:
            await link.call(ECHO, {"text": "lost"}, no_progress)
        assert not caught.value.reached_tool
        assert deaf.calls_of("lost") == 0
        deaf.requests.faults.clear()
        assert isinstance(await link.call(ECHO, {"text": "x"}, no_progress), CallToolResult)
