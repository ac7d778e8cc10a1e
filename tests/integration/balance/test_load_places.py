"""Calls that meet the moment in which a breaker opens: those that had a place, and those out of time."""

from __future__ import annotations

import math

import anyio
import pytest
import trio.testing
from mcp.types import CallToolResult

from tests.support.balancing import balanced
from tests.unit.balance.gateways import SteeredGateway, tool, works
from tool_router.balance.breaker import BreakerSettings
from tool_router.balance.target_state import TargetSpec
from tool_router.catalog.model import Hints, Tool
from tool_router.errors import BreakerOpen, GatewayFailed
from tool_router.gateway.protocol import no_progress

pytestmark = pytest.mark.anyio

WRITES = tool("write", hints=Hints(read_only=False))


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Trio with a clock that jumps to the next deadline as soon as every task waits."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


async def test_a_call_whose_place_became_useless_before_it_was_sent_goes_to_another_target() -> None:
    broken, freed = anyio.Event(), anyio.Event()

    async def breaks(asked: Tool) -> CallToolResult:
        await broken.wait()
        raise GatewayFailed("broke off")

    async def answers(asked: Tool) -> CallToolResult:
        await freed.wait()
        return await works(asked)

    bad, good = SteeredGateway(breaks), SteeredGateway(answers)
    bad.key, good.key = "bad", "good"
    gateway = balanced([bad, good], BreakerSettings(failure_threshold=2))
    gateway.pool.change(TargetSpec("bad", capacity=2))
    gateway.pool.change(TargetSpec("good", capacity=2))
    failed: list[str] = []
    asked: list[list[str]] = []

    async def call() -> None:
        names: list[str] = []
        asked.append(names)
        try:
            await gateway.call(WRITES, {}, no_progress, on_target=names.append)
        except GatewayFailed:
            failed.append(names[-1])

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
        assert gateway.pool.waiting == 1
        # Both fail at once: the first hands its place to the call that waits, the second opens the breaker.
        broken.set()
        await anyio.wait_all_tasks_blocked()
        freed.set()
    assert failed == ["bad", "bad"]
    assert len(bad.called) == 2
    assert asked[-1] == ["bad", "good"]


def lingering(seconds: float) -> SteeredGateway:
    """A gateway that never answers, and when cancelled holds its caller to tell somebody."""

    async def lingers(asked: Tool) -> CallToolResult:
        try:
            await anyio.sleep(math.inf)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(seconds)
        return await works(asked)

    return SteeredGateway(lingers)


async def test_a_silent_target_is_counted_though_ending_the_call_outlasts_its_callers_deadline() -> None:
    gateway = balanced(lingering(5), BreakerSettings(failure_threshold=1))
    with anyio.move_on_after(2) as scope:
        await gateway.call(WRITES, {}, no_progress)
    assert scope.cancelled_caught
    with pytest.raises(BreakerOpen):
        await gateway.call(WRITES, {}, no_progress)


async def test_a_call_that_its_caller_cancels_is_not_counted() -> None:
    gateway = balanced(lingering(0.5), BreakerSettings(failure_threshold=1))

    async def call() -> None:
        await gateway.call(WRITES, {}, no_progress)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    assert not gateway.admission.waits()
