"""A 429 of ContextForge: nothing is sent for the whole of its Retry-After, in whichever form it says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.support.balancing import balanced
from tests.support.gateway_server import TOKEN, contextforge
from tests.support.loopback import answer
from tests.unit.balance.clock import ManualClock
from tool_router.balance.balanced import BalancedGateway
from tool_router.catalog.model import Tool
from tool_router.errors import BreakerOpen, GatewayBusy
from tool_router.gateway.contextforge import ContextForgeGateway
from tool_router.gateway.protocol import no_progress

pytestmark = pytest.mark.anyio

ECHO = Tool(id="everything::echo", name="echo", server="everything", call_name="everything-echo")

Ask = Callable[[BalancedGateway], Awaitable[object]]


async def listing(gateway: BalancedGateway) -> object:
    return await gateway.list_tools()


async def calling(gateway: BalancedGateway) -> object:
    return await gateway.call(ECHO, {"text": "hi"}, no_progress)


def in_seconds() -> str:
    return "90"


def as_a_date() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=89.5), usegmt=True)


@pytest.mark.parametrize("after", [in_seconds, as_a_date])
@pytest.mark.parametrize("ask", [listing, calling])
async def test_nothing_is_sent_while_the_gateway_rests(ask: Ask, after: Callable[[], str]) -> None:
    clock = ManualClock()
    async with contextforge() as fake:
        gateway = balanced(ContextForgeGateway(fake.url, TOKEN), clock=clock)
        async with gateway.open():
            fake.faulty.faults["*"] = answer(429, "{}", headers={"retry-after": after()})
            with pytest.raises(GatewayBusy):
                await ask(gateway)
            fake.faulty.faults.clear()
            fake.faulty.seen.clear()
            clock.advance(87)
            for asked in (listing, calling):
                with pytest.raises(BreakerOpen):
                    await asked(gateway)
            assert not (await gateway.check()).ok
            assert fake.faulty.seen == []
            clock.advance(3.1)
            await listing(gateway)
            await calling(gateway)


async def test_a_429_of_a_call_is_no_reason_to_call_again_or_to_give_a_session_up() -> None:
    async with contextforge() as fake:
        clock = ManualClock()
        gateway = balanced(ContextForgeGateway(fake.url, TOKEN), clock=clock)
        async with gateway.open():
            await calling(gateway)
            fake.faulty.faults["/rpc"] = answer(429, "{}", headers={"retry-after": "60"})
            with pytest.raises(GatewayBusy):
                await calling(gateway)
            clock.advance(60.1)
            fake.faulty.faults.clear()
            await calling(gateway)
        sent = fake.faulty.arrived("/rpc")
    assert len(sent) == 3
    assert len({seen.headers["mcp-session-id"] for seen in sent}) == 1


async def test_a_probe_is_one_request_and_tells_what_a_check_only_describes() -> None:
    async with contextforge() as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            assert (await gateway.probe()).ok
            assert [seen.path for seen in fake.faulty.seen] == ["/health"]
            fake.health = "unhealthy"
            assert not (await gateway.probe()).ok
            fake.faulty.faults["/health"] = answer(429, "{}", headers={"retry-after": "900"})
            with pytest.raises(GatewayBusy) as caught:
                await gateway.probe()
            assert not (await gateway.check()).ok
    assert caught.value.retry_after_s == 900
