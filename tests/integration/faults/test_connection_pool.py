"""How many connections there are to a gateway, and how long each lives."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import pytest
from trio.testing import MockClock

from tests.integration.faults.far_side import FarSide
from tests.support.gateway_server import TOKEN
from tests.support.toxics import Blackhole, Latency, Place, ToxicProxy
from tests.unit.balance.clock import ManualClock
from tool_router.catalog.model import Tool
from tool_router.errors import GatewayTimeout
from tool_router.gateway.connection_pool import AGE_LIMIT_S, IDLE_LIMIT_S, MAX_CONNECTIONS, Clock
from tool_router.gateway.json_http import JsonHttp
from tool_router.gateway.mcp_http import HttpEndpoint
from tool_router.gateway.mcp_link import McpLink
from tool_router.gateway.protocol import no_progress

pytestmark = [pytest.mark.anyio, pytest.mark.alone]

ECHO = Tool(id="everything::echo", name="echo", call_name="echo")

Ask = Callable[[], Coroutine[object, object, object]]
Client = Callable[[str, Clock], AbstractAsyncContextManager[Ask]]


@asynccontextmanager
async def json_http(url: str, clock: Clock) -> AsyncGenerator[Ask]:
    http = JsonHttp(url, TOKEN, clock=clock)
    async with http.open():
        yield lambda: http.get("/health")


@asynccontextmanager
async def mcp_link(url: str, clock: Clock) -> AsyncGenerator[Ask]:
    link = McpLink(HttpEndpoint(f"{url}/mcp", clock=clock))
    async with link.open():
        yield link.rows


BOTH = pytest.mark.parametrize("client", [json_http, mcp_link])


async def becomes(links: int, far: FarSide, proxy: ToxicProxy) -> bool:
    """Whether the proxy soon carries so many connections; their ends are noticed by its own loop."""
    for _ in range(200):
        if far.portal.call(lambda: proxy.links) == links:
            return True
        # Not by the clock under test, which may stand still.
        await anyio.to_thread.run_sync(far.portal.call, anyio.sleep, 0.01)
    return False


@BOTH
async def test_many_requests_share_ten_connections(client: Client, far: FarSide) -> None:
    answers: list[object] = []
    with far.proxy() as proxy:
        far.portal.call(proxy.poison, Latency(delay_s=0.2))
        async with client(proxy.url, anyio.current_time) as ask, anyio.create_task_group() as tasks:

            async def one() -> None:
                answers.append(await ask())

            for _ in range(40):
                tasks.start_soon(one)
        assert len(answers) == 40
        assert proxy.accepted == MAX_CONNECTIONS == 10


@BOTH
async def test_cancelled_requests_give_their_places_back(client: Client, far: FarSide) -> None:
    dice = random.Random(4)
    with far.proxy() as proxy:
        far.portal.call(proxy.poison, Latency(delay_s=0.005))
        async with client(proxy.url, anyio.current_time) as ask:

            async def one() -> None:
                with anyio.move_on_after(dice.choice([0.0, 0.001, 0.005, 0.01, 0.02])):
                    await ask()

            for _ in range(10):
                async with anyio.create_task_group() as tasks:
                    for _ in range(3 * MAX_CONNECTIONS):
                        tasks.start_soon(one)
            with anyio.fail_after(5):
                await ask()


async def test_a_request_that_finds_no_place_was_not_sent_and_blames_nobody(far: FarSide) -> None:
    with far.proxy() as proxy:
        far.portal.call(proxy.poison, Latency(delay_s=5.0))
        http = JsonHttp(proxy.url, TOKEN)
        async with http.open(), anyio.create_task_group() as tasks:
            for _ in range(MAX_CONNECTIONS):
                tasks.start_soon(http.get, "/health")
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(GatewayTimeout, match="no free connection") as caught:
                await http.post("/rpc", b"{}", read_timeout_s=0.1)
            assert not caught.value.reached_tool
            assert not caught.value.counts_against
            tasks.cancel_scope.cancel()


@BOTH
async def test_a_connection_takes_no_request_once_it_is_an_hour_old(client: Client, far: FarSide) -> None:
    clock = ManualClock()
    with far.proxy() as proxy:
        async with client(proxy.url, clock) as ask:
            await ask()
            made = proxy.accepted
            clock.advance(AGE_LIMIT_S - 0.001)
            await ask()
            assert proxy.accepted == made
            clock.advance(0.001)
            await ask()
            assert proxy.accepted == made + 1
            assert await becomes(1, far, proxy)


async def test_a_request_under_way_ends_on_its_old_connection_which_is_then_closed(far: FarSide) -> None:
    clock = ManualClock()
    done: list[object] = []
    with far.proxy() as proxy:
        async with json_http(proxy.url, clock) as ask:
            await ask()
            far.portal.call(proxy.poison, Latency(delay_s=0.2))
            async with anyio.create_task_group() as tasks:

                async def slowly() -> None:
                    done.append(await ask())

                tasks.start_soon(slowly)
                await anyio.wait_all_tasks_blocked()
                clock.advance(AGE_LIMIT_S)
                far.portal.call(proxy.heal)
                await ask()
                assert not done
                assert proxy.links == 2
            assert len(done) == 1
            assert await becomes(1, far, proxy)


@pytest.mark.parametrize("place", [Place.HEADERS, Place.BODY])
async def test_calls_that_were_given_up_on_a_dead_line_hold_no_connection(place: Place, far: FarSide) -> None:
    with far.proxy() as proxy:
        # On 2025-11-25 the SDK itself goes on waiting for the answer.
        link = McpLink(HttpEndpoint(f"{proxy.url}/mcp"), mode="legacy")
        async with link.open():
            await link.call(ECHO, {"text": "x"}, no_progress)
            far.portal.call(proxy.poison, Blackhole(place=place))
            async with anyio.create_task_group() as tasks:

                async def impatient() -> None:
                    with anyio.move_on_after(0.1):
                        await link.call(ECHO, {"text": "x"}, no_progress)

                for _ in range(2 * MAX_CONNECTIONS):
                    tasks.start_soon(impatient)
            far.portal.call(proxy.heal)
            with anyio.fail_after(1):
                await link.call(ECHO, {"text": "x"}, no_progress)


@pytest.fixture
def virtual() -> MockClock:
    return MockClock()


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> object:
    if "virtual" in request.fixturenames:
        return "trio", {"clock": request.getfixturevalue("virtual")}
    return "asyncio"


@BOTH
async def test_connections_are_closed_after_five_minutes_without_a_request(
    client: Client, virtual: MockClock, far: FarSide
) -> None:
    with far.proxy() as proxy:
        async with client(proxy.url, anyio.current_time) as ask:
            await ask()
            virtual.jump(IDLE_LIMIT_S / 2)
            await ask()
            virtual.jump(IDLE_LIMIT_S - 0.001)
            await anyio.wait_all_tasks_blocked()
            assert proxy.links == 1
            virtual.jump(0.001)
            assert await becomes(0, far, proxy)
            await ask()
            assert await becomes(1, far, proxy)
