"""Several hosts of models behind one strategy, over real HTTP."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.loopback import Fault, answer
from tests.support.ollama_server import Model, OllamaServer, chat_model
from tests.unit.catalog.samples import a_tool
from tool_router.ai.judge_prompt import ballot
from tool_router.ai.ollama import OllamaProvider
from tool_router.ai.pool import Balancing, ProviderPool
from tool_router.balance.target_state import TargetSpec
from tool_router.errors import ProviderError

pytestmark = pytest.mark.anyio

BALLOT = ballot("open an issue", "", (a_tool("read_file"), a_tool("create_issue")))


@asynccontextmanager
async def hosts(count: int = 2) -> AsyncGenerator[list[OllamaServer]]:
    async with AsyncExitStack() as stack:
        models = [Model("all-minilm:latest"), chat_model()]
        yield [
            await stack.enter_async_context(OllamaServer(models=[*models]).running()) for _ in range(count)
        ]


@asynccontextmanager
async def pool_of(
    servers: list[OllamaServer], strategy: str = "preference", capacities: tuple[int, ...] = ()
) -> AsyncGenerator[ProviderPool]:
    providers = [OllamaProvider(server.url) for server in servers]
    specs = [
        TargetSpec(one.name, capacity=capacities[place] if capacities else 0)
        for place, one in enumerate(providers)
    ]
    pool = ProviderPool(providers, specs, Balancing(strategy), draw=random.Random(3).random)
    try:
        yield pool
    finally:
        await pool.aclose()


def in_flight(pool: ProviderPool) -> list[int]:
    return [one.in_flight for one in pool.targets() if one.use == "embedding"]


class Gate:
    """Holds requests for vectors back, on all hosts together.

    Attributes:
        full: set when as many requests are held as were wanted.
        release: lets all of them pass, and later ones too.
    """

    def __init__(self, servers: list[OllamaServer], wanted: int) -> None:
        self.full = anyio.Event()
        self.release = anyio.Event()
        self._left = wanted
        for server in servers:
            server.traffic.faults["/api/embed"] = self._held(server.traffic.app)

    def _held(self, app: ASGIApp) -> Fault:
        async def hold(scope: Scope, receive: Receive, send: Send) -> None:
            self._left -= 1
            if not self._left:
                self.full.set()
            await self.release.wait()
            await app(scope, receive, send)

        return hold


async def test_power_of_two_spreads_calls_evenly_over_two_equal_hosts() -> None:
    async with hosts() as servers, pool_of(servers, "power_of_two") as pool:
        model = await pool.embedding_model()
        gate = Gate(servers, 20)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(pool.embed, [f"text {number}"], model)
                await gate.full.wait()
                assert in_flight(pool) == [10, 10]
                gate.release.set()
        assert [len(server.embedded) for server in servers] == [10, 10]
        assert in_flight(pool) == [0, 0]
        found = [one.window for one in pool.targets() if one.use == "embedding"]
        assert [(one.requests, one.success_rate) for one in found] == [(10, 1.0), (10, 1.0)]


async def test_performance_prefers_the_faster_host() -> None:
    async with hosts() as servers, pool_of(servers, "performance") as pool:
        slow, fast = servers
        right = slow.traffic.app

        async def late(scope: Scope, receive: Receive, send: Send) -> None:
            await anyio.sleep(0.08)
            await right(scope, receive, send)

        slow.traffic.faults["/api/embed"] = late
        model = await pool.embedding_model()
        for _ in range(60):
            await pool.embed(["a"], model)
        assert len(fast.embedded) > 3 * len(slow.embedded)
        windows = {one.spec.name: one.window for one in pool.targets() if one.use == "embedding"}
        assert all(one.success_rate == 1.0 for one in windows.values() if one.requests)


async def test_a_host_without_the_model_is_never_asked_for_its_vectors() -> None:
    async with hosts(3) as servers:
        servers[2].models = [Model("all-minilm:latest", weights="2")]
        strategies = ("preference", "random", "model", "hybrid")
        for strategy in strategies:
            async with pool_of(servers, strategy) as pool:
                model = await pool.embedding_model()
                for _ in range(4):
                    await pool.embed(["a"], model)
        assert len(servers[0].embedded) + len(servers[1].embedded) == 4 * len(strategies)
        for server in servers[:2]:
            server.traffic.faults["/api/embed"] = answer(500, "{}")
        async with pool_of(servers, "random") as pool:
            model = await pool.embedding_model()
            with pytest.raises(ProviderError) as caught:
                await pool.embed(["a"], model)
        assert caught.value.reason == "http_500"
        assert servers[2].embedded == []


async def test_no_host_has_more_calls_than_it_takes_and_the_rest_wait_for_a_place() -> None:
    async with hosts() as servers, pool_of(servers, capacities=(2, 1)) as pool:
        model = await pool.embedding_model()
        gate = Gate(servers, 3)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(pool.embed, [f"text {number}"], model)
                await gate.full.wait()
                assert in_flight(pool) == [2, 1]
                assert [len(server.embedded) for server in servers] == [2, 1]
                gate.release.set()
        assert len(servers[0].embedded) + len(servers[1].embedded) == 8


@pytest.mark.parametrize("strategy", ["power_of_two", "round_robin", "performance", "hybrid"])
async def test_a_host_that_dies_costs_no_call_an_error_whatever_the_strategy(strategy: str) -> None:
    async with hosts() as servers, pool_of(servers, strategy) as pool:
        model = await pool.embedding_model()
        servers[0].traffic.faults["*"] = answer(502, "")
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(pool.embed, ["a"], model)
        asked = len(servers[0].traffic.arrived("/api/embed"))
        for _ in range(5):
            await pool.embed(["a"], model)
        assert len(servers[0].traffic.arrived("/api/embed")) == asked
        assert len(servers[1].embedded) == 25
        dead, alive = (one for one in pool.targets() if one.use == "embedding")
        assert (dead.window.error_rate, dead.in_use) == (1.0, False)
        assert "502" in dead.failing
        assert (alive.window.success_rate, alive.in_use) == (1.0, True)


@pytest.mark.alone
async def test_a_call_moves_on_from_a_refusing_host_within_100_ms() -> None:
    async with hosts() as servers, pool_of(servers) as pool:
        model = await pool.embedding_model()
        await pool.embed(["opens the connections"], model)
        servers[0].traffic.faults["/api/embed"] = answer(503, "{}")
        took: list[float] = []
        for _ in range(3):
            started = time.perf_counter()
            await pool.embed(["a"], model)
            took.append(time.perf_counter() - started)
        assert min(took) < 0.1


async def test_judgements_are_spread_over_hosts_that_are_all_warm() -> None:
    async with hosts() as servers, pool_of(servers, "round_robin") as pool:
        model = await pool.chat_model()
        await pool.warm(model)
        assert all(server.loaded for server in servers)
        loads = len(servers[0].traffic.arrived("/api/chat"))
        for _ in range(6):
            chances = await pool.choose(BALLOT.prompt, BALLOT.labels, model)
            assert sum(chances.values()) == pytest.approx(1.0)
        assert [len(server.traffic.arrived("/api/chat")) - loads for server in servers] == [3, 3]
