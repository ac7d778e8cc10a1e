"""Warming: the likely next tasks, in idle time only, bounded."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
import trio.testing

from tests.unit.cache.samples import CATALOG, Computing, a_key, refused
from tool_router.cache.decision import DecisionCache
from tool_router.cache.tier import MemoryTier
from tool_router.errors import StoreError
from tool_router.learning.successors import Successors
from tool_router.learning.warming import AGAIN_S, AHEAD, BUDGET_S, QUIET_S, Warmer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Virtual time: waiting costs nothing and is exact."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Ranks:
    """Records what is ranked, and takes a while for it."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.takes_s = takes_s
        self.begun: list[str] = []
        self.done: list[str] = []
        self.fail: set[str] = set()

    async def __call__(self, task: str) -> None:
        self.begun.append(task)
        await anyio.sleep(self.takes_s)
        if task in self.fail:
            raise StoreError("no")
        self.done.append(task)


def habits(*tasks: str) -> Successors:
    found = Successors()
    for number, task in enumerate(tasks):
        found.observe(task, trio.current_time() - 1_000 + number)
    return found


@asynccontextmanager
async def warming(ranks: Ranks, successors: Successors) -> AsyncGenerator[Warmer]:
    warmer = Warmer(ranks, successors, clock=trio.current_time)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(warmer.run)
        yield warmer
        tasks.cancel_scope.cancel()


async def ask(warmer: Warmer, task: str, takes_s: float = 0.0) -> None:
    with warmer.request(task):
        await anyio.sleep(takes_s)


async def test_the_likely_next_tasks_are_ranked_after_a_request() -> None:
    ranks = Ranks()
    async with warming(ranks, habits("pull", "test", "commit", "pull", "test", "commit")) as warmer:
        await ask(warmer, "pull")
        await anyio.sleep(QUIET_S / 2)
        assert ranks.begun == []
        await anyio.sleep(QUIET_S)
        assert ranks.done == ["test", "commit"]
        assert warmer.stats.warmed == 2


async def test_nothing_is_warmed_while_a_request_is_under_way() -> None:
    ranks = Ranks()
    async with warming(ranks, habits("a", "b", "a", "b")) as warmer, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, warmer, "long", 60.0)
        await anyio.sleep(1)
        await ask(warmer, "a")
        await anyio.sleep(50)
        assert ranks.begun == []
        await anyio.sleep(20)
        assert ranks.done[0] == "b"


async def test_a_request_stops_what_is_being_warmed() -> None:
    ranks = Ranks(takes_s=2.0)
    async with warming(ranks, habits("a", "b", "a", "b")) as warmer:
        await ask(warmer, "a")
        await anyio.sleep(QUIET_S + 1)
        assert ranks.begun == ["b"]
        with warmer.request("c"):
            await anyio.sleep(10)
            assert ranks.begun == ["b"]
        assert ranks.done == []
        assert warmer.stats.interrupted == 1


async def test_a_round_is_bounded_in_number() -> None:
    ranks = Ranks()
    async with warming(ranks, habits(*"abcdefghij")) as warmer:
        await ask(warmer, "z")
        await anyio.sleep(60)
    assert len(ranks.done) == AHEAD


async def test_a_round_is_bounded_in_time() -> None:
    ranks = Ranks(takes_s=0.6 * BUDGET_S)
    async with warming(ranks, habits(*"abcde")) as warmer:
        await ask(warmer, "z")
        await anyio.sleep(QUIET_S + BUDGET_S + 0.1)
        assert (len(ranks.begun), len(ranks.done)) == (2, 1)
        await anyio.sleep(60)
        assert len(ranks.begun) == 2


async def test_a_task_is_not_warmed_again_while_its_decision_is_kept() -> None:
    ranks = Ranks()
    async with warming(ranks, habits("a", "b", "a", "b")) as warmer:
        for _ in range(3):
            await ask(warmer, "a")
            await anyio.sleep(QUIET_S + 1)
        assert ranks.done == ["b"]
        await anyio.sleep(AGAIN_S)
        await ask(warmer, "a")
        await anyio.sleep(QUIET_S + 1)
        assert ranks.done == ["b", "b"]


async def test_a_ranking_that_fails_does_not_end_warming() -> None:
    ranks = Ranks()
    ranks.fail.add("b")
    async with warming(ranks, habits("a", "b", "a", "b", "c")) as warmer:
        await ask(warmer, "a")
        await anyio.sleep(QUIET_S + 1)
        assert warmer.stats.failed == 1
        assert "c" in ranks.done


async def test_a_warmed_task_is_answered_from_memory() -> None:
    cache = DecisionCache(MemoryTier(300.0, clock=trio.current_time))

    async def rank(task: str) -> None:
        await cache.rank(a_key(task), CATALOG, Computing())

    warmer = Warmer(rank, habits("a", "b", "a", "b"), clock=trio.current_time)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(warmer.run)
        await ask(warmer, "a")
        await anyio.sleep(QUIET_S + 1)
        tasks.cancel_scope.cancel()
    assert (await cache.rank(a_key("b"), CATALOG, refused)).cached == "memory"
