"""The guard's deadline: whose time ran out, and what that counts for. Time is trio's, and jumps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import anyio
import pytest
import trio.testing
from mcp.types import CallToolResult

from tests.support.balancing import balanced
from tests.unit.balance.gateways import SteeredGateway, failing, text, tool, works
from tool_router.balance.balanced import BalancedGateway
from tool_router.balance.breaker import BreakerSettings, State
from tool_router.balance.retry import RetrySettings
from tool_router.balance.target_state import TargetSpec
from tool_router.catalog.model import Hints, Tool
from tool_router.errors import (
    BreakerOpen,
    GatewayFailed,
    GatewayTimeout,
    GatewayUnreachable,
    PoolBusy,
    UpstreamFailed,
)
from tool_router.gateway.protocol import no_progress

pytestmark = pytest.mark.anyio

A = tool("a")
READING = tool("r", hints=Hints(read_only=True))
TRIP_AT_ONE = BreakerSettings(failure_threshold=1)
ONCE = RetrySettings(attempts=1)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Trio with a clock that jumps to the next deadline as soon as every task waits."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def takes(seconds: float) -> SteeredGateway:
    async def slow(asked: Tool) -> CallToolResult:
        await anyio.sleep(seconds)
        return await works(asked)

    return SteeredGateway(slow)


async def test_the_callers_deadline_ends_a_hanging_call_just_in_time() -> None:
    gateway = balanced(takes(math.inf), TRIP_AT_ONE)
    started = anyio.current_time()
    with anyio.fail_after(50), pytest.raises(GatewayTimeout) as caught:
        await gateway.call(A, {}, no_progress)
    assert 49.5 < anyio.current_time() - started < 50
    assert caught.value.reached_tool
    assert "may have run" in caught.value.next_step
    assert gateway.admission.states()["tool:time::a"] is State.OPEN


async def test_an_answer_in_the_last_moment_is_still_an_answer() -> None:
    gateway = balanced(takes(49.7))
    with anyio.fail_after(50):
        assert await gateway.call(A, {}, no_progress) == text(A.id)


async def test_its_own_limit_counts_where_the_caller_set_none() -> None:
    gateway = balanced(takes(math.inf), limit_s=20)
    started = anyio.current_time()
    with pytest.raises(GatewayTimeout, match=r"20\.0 s"):
        await gateway.call(A, {}, no_progress)
    assert anyio.current_time() - started == pytest.approx(20)


async def test_a_short_remainder_still_times_out_here_and_not_at_the_caller() -> None:
    gateway = balanced(takes(math.inf))
    with anyio.move_on_after(0.01) as scope, pytest.raises(GatewayTimeout):
        await gateway.call(A, {}, no_progress)
    assert not scope.cancelled_caught


async def test_nothing_is_sent_when_no_time_is_left() -> None:
    inner = takes(0)
    gateway = balanced(inner, TRIP_AT_ONE, limit_s=0)
    with pytest.raises(GatewayTimeout) as caught:
        await gateway.call(A, {}, no_progress)
    assert inner.called == []
    assert not caught.value.reached_tool
    assert set(gateway.admission.states().values()) == {State.CLOSED}


async def test_a_cancelled_caller_counts_for_nobody_and_gets_its_cancellation() -> None:
    gateway = balanced(takes(math.inf), TRIP_AT_ONE)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await anyio.sleep(3)
                scope.cancel()

            tasks.start_soon(cancel)
            await gateway.call(A, {}, no_progress)
    assert scope.cancelled_caught
    assert set(gateway.admission.states().values()) == {State.CLOSED}


async def test_a_timeout_error_of_the_gateway_itself_is_not_taken_for_the_deadline() -> None:
    gateway = balanced(SteeredGateway(failing(TimeoutError("a bug"))), TRIP_AT_ONE)
    with pytest.raises(TimeoutError, match="a bug"):
        await gateway.call(A, {}, no_progress)
    assert set(gateway.admission.states().values()) == {State.CLOSED}


async def test_a_listing_that_never_ends_is_given_up() -> None:
    async def never() -> Sequence[Tool]:
        await anyio.sleep_forever()
        raise AssertionError

    inner = SteeredGateway()
    inner.listing = never
    gateway = balanced(inner, TRIP_AT_ONE, limit_s=20)
    with pytest.raises(GatewayTimeout, match="The catalog"):
        await gateway.list_tools()
    assert gateway.admission.states() == {"target:steered": State.OPEN}


async def test_a_hanging_tool_opens_after_five_timeouts_and_is_probed_after_its_rest() -> None:
    inner = takes(math.inf)
    gateway = balanced(inner, limit_s=10)
    for _ in range(5):
        with pytest.raises(GatewayTimeout):
            await gateway.call(A, {}, no_progress)
    for waited_s in (0.0, 29.999):
        with anyio.move_on_after(waited_s):
            await anyio.sleep_forever()
        with pytest.raises(BreakerOpen):
            await gateway.call(A, {}, no_progress)
    assert len(inner.called) == 5
    await anyio.sleep(0.001)
    inner.behaviour = works
    assert await gateway.call(A, {}, no_progress) == text(A.id)


async def test_a_slow_probe_keeps_its_place_as_long_as_its_deadline_runs() -> None:
    inner = SteeredGateway(failing(GatewayUnreachable("refused")))
    gateway = balanced(inner, BreakerSettings(permit_ttl_s=5), limit_s=200, retry=ONCE)
    for _ in range(5):
        with pytest.raises(GatewayUnreachable):
            await gateway.call(A, {}, no_progress)
    await anyio.sleep(30)
    inner.behaviour = takes(199).behaviour
    async with anyio.create_task_group() as tasks:

        async def probe() -> None:
            assert await gateway.call(A, {}, no_progress) == text(A.id)

        tasks.start_soon(probe)
        await anyio.sleep(190)
        with pytest.raises(BreakerOpen):
            await gateway.call(A, {}, no_progress)
    assert gateway.admission.states()["target:steered"] is State.CLOSED


async def test_an_ambiguous_timeout_of_a_writing_tool_is_never_repeated() -> None:
    inner = takes(math.inf)
    with pytest.raises(GatewayTimeout):
        await balanced(inner, limit_s=5).call(A, {}, no_progress)
    assert inner.called == [A.id]


async def test_a_refused_connection_is_repeated_with_growing_pauses() -> None:
    inner = SteeredGateway(failing(GatewayUnreachable("refused")))
    gateway = balanced(inner, retry=RetrySettings(attempts=4, base_s=1, cap_s=100), draw=lambda: 1.0)
    started = anyio.current_time()
    with pytest.raises(GatewayUnreachable):
        await gateway.call(A, {}, no_progress)
    assert inner.called == [A.id] * 4
    assert anyio.current_time() - started == pytest.approx(1 + 2 + 4)


@pytest.mark.parametrize("error", [UpstreamFailed("crash"), GatewayFailed("502")])
async def test_a_reading_tool_is_called_again_and_answers(error: Exception) -> None:
    inner = SteeredGateway()

    async def once_wrong(asked: Tool) -> CallToolResult:
        if len(inner.called) == 1:
            raise error
        return await works(asked)

    inner.behaviour = once_wrong
    assert await balanced(inner).call(READING, {}, no_progress) == text(READING.id)
    assert len(inner.called) == 2


async def test_no_retry_starts_that_could_not_end_in_time() -> None:
    inner = SteeredGateway(failing(GatewayUnreachable("refused")))
    gateway = balanced(inner, retry=RetrySettings(base_s=10, cap_s=10), draw=lambda: 1.0)
    started = anyio.current_time()
    with anyio.fail_after(5), pytest.raises(GatewayUnreachable):
        await gateway.call(A, {}, no_progress)
    assert inner.called == [A.id]
    assert anyio.current_time() == started


async def test_a_retry_that_the_breaker_refuses_reports_what_the_call_met() -> None:
    inner = SteeredGateway(failing(GatewayUnreachable("refused")))
    gateway = balanced(inner, TRIP_AT_ONE)
    with pytest.raises(GatewayUnreachable):
        await gateway.call(A, {}, no_progress)
    assert inner.called == [A.id]
    with pytest.raises(BreakerOpen):
        await gateway.call(A, {}, no_progress)


async def test_a_storm_of_failing_calls_adds_at_most_a_tenth_and_the_reserve() -> None:
    inner = SteeredGateway(failing(GatewayUnreachable("refused")))
    settings = BreakerSettings(failure_threshold=100_000)
    gateway = balanced(inner, settings, retry=RetrySettings(base_s=0))
    for _ in range(500):
        with pytest.raises(GatewayUnreachable):
            await gateway.call(A, {}, no_progress)
    assert len(inner.called) == 500 + 50 + 3


async def test_a_caller_cancelled_in_the_pause_makes_no_further_call() -> None:
    inner = SteeredGateway(failing(GatewayUnreachable("refused")))
    gateway = balanced(inner, retry=RetrySettings(base_s=10, cap_s=10), draw=lambda: 0.9)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await anyio.sleep(3)
                scope.cancel()

            tasks.start_soon(cancel)
            await gateway.call(A, {}, no_progress)
    assert inner.called == [A.id]


def one_at_a_time(seconds: float) -> tuple[BalancedGateway, SteeredGateway]:
    inner = takes(seconds)
    gateway = balanced(inner, TRIP_AT_ONE)
    gateway.pool.change(TargetSpec(inner.key, capacity=1))
    return gateway, inner


async def call(gateway: BalancedGateway) -> None:
    await gateway.call(A, {}, no_progress)


@pytest.mark.parametrize(("first_takes_s", "waits_s"), [(9.7, 9.7), (30.0, 9.25)])
async def test_a_call_that_waited_until_hardly_any_time_was_left_is_not_sent_and_counts_against_nobody(
    first_takes_s: float, waits_s: float
) -> None:
    gateway, inner = one_at_a_time(first_takes_s)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, gateway)
        await anyio.wait_all_tasks_blocked()
        started = anyio.current_time()
        with anyio.fail_after(10):
            with pytest.raises(PoolBusy) as caught:
                await call(gateway)
            assert not caught.value.reached_tool
        assert anyio.current_time() - started <= waits_s
    assert inner.called == [A.id]
    assert gateway.pool.get(inner.key).state.in_flight == 0
    assert set(gateway.admission.states().values()) == {State.CLOSED}


async def test_a_call_that_waited_and_has_time_left_is_sent() -> None:
    gateway, inner = one_at_a_time(5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, gateway)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(20):
            await call(gateway)
    assert len(inner.called) == 2


async def test_a_caller_in_a_hurry_is_served_where_there_is_room() -> None:
    gateway = balanced(takes(0.1))
    with anyio.fail_after(0.3):
        await anyio.sleep(0.01)
        assert await gateway.call(A, {}, no_progress) == text(A.id)
