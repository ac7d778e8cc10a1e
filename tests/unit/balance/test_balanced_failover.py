"""Several targets: what moves a call on to the next one, and what never does."""

from __future__ import annotations

from contextlib import suppress

import anyio
import pytest

from tests.support.balancing import balanced
from tests.unit.balance.clock import ManualClock
from tests.unit.balance.gateways import SteeredGateway, failing, tool, works
from tool_router.balance.balanced import BalancedGateway
from tool_router.balance.breaker import BreakerSettings
from tool_router.balance.retry import RetrySettings
from tool_router.catalog.model import Hints, Tool
from tool_router.errors import (
    BreakerOpen,
    GatewayBusy,
    GatewayError,
    GatewayFailed,
    GatewayRejected,
    GatewayTimeout,
    GatewayUnreachable,
    NoTarget,
    UpstreamFailed,
)
from tool_router.gateway.protocol import no_progress

pytestmark = pytest.mark.anyio

WRITES = tool("write", hints=Hints(read_only=False, destructive=False))
READS = tool("read", hints=Hints(read_only=True))
NEVER_REACHED = GatewayFailed("The connection broke before the request was sent.")
NEVER_REACHED.reached_tool = False


def pair(clock: ManualClock, error: GatewayError) -> tuple[BalancedGateway, SteeredGateway, SteeredGateway]:
    """Two targets, the first of which fails; round robin begins with it."""
    bad, good = SteeredGateway(failing(error)), SteeredGateway(works)
    bad.key, good.key = "bad", "good"
    gateway = balanced(
        [bad, good], BreakerSettings(failure_threshold=3), retry=RetrySettings(base_s=0.001), clock=clock
    )
    return gateway, bad, good


async def asked(gateway: BalancedGateway, asked_for: Tool) -> list[str]:
    names: list[str] = []
    await gateway.call(asked_for, {}, no_progress, on_target=names.append)
    return names


@pytest.mark.alone
@pytest.mark.parametrize(
    "error",
    [GatewayUnreachable("refused"), NEVER_REACHED, GatewayBusy(60, "429")],
    ids=lambda e: type(e).__name__,
)
async def test_a_call_that_never_reached_its_tool_moves_on_at_once_even_one_that_writes(
    clock: ManualClock, error: GatewayError
) -> None:
    gateway, bad, good = pair(clock, error)
    started = anyio.current_time()
    assert await asked(gateway, WRITES) == ["bad", "good"]
    assert anyio.current_time() - started < 0.1
    assert (len(bad.called), len(good.called)) == (1, 1)


@pytest.mark.parametrize(
    "error",
    [GatewayTimeout("late"), GatewayFailed("broke off"), UpstreamFailed("died")],
    ids=lambda e: type(e).__name__,
)
async def test_a_writing_call_that_may_have_run_is_never_made_again(
    clock: ManualClock, error: GatewayError
) -> None:
    gateway, bad, good = pair(clock, error)
    with pytest.raises(type(error)):
        await gateway.call(WRITES, {}, no_progress)
    assert len(bad.called) + len(good.called) == 1


async def test_a_reading_call_that_failed_is_made_again_at_another_target(clock: ManualClock) -> None:
    gateway, bad, good = pair(clock, GatewayFailed("broke off"))
    assert await asked(gateway, READS) == ["bad", "good"]
    assert (len(bad.called), len(good.called)) == (1, 1)


async def test_a_refused_request_is_refused_by_every_target_and_not_sent_again(clock: ManualClock) -> None:
    gateway, _bad, good = pair(clock, GatewayRejected(403, "no"))
    with pytest.raises(GatewayRejected):
        await gateway.call(READS, {}, no_progress)
    assert good.called == []


async def test_a_target_that_pushed_back_is_left_alone_for_its_whole_time(clock: ManualClock) -> None:
    gateway, bad, _good = pair(clock, GatewayBusy(60, "429"))
    await asked(gateway, WRITES)
    clock.advance(59)
    for _ in range(6):
        assert await asked(gateway, WRITES) == ["good"]
    assert len(bad.called) == 1
    bad.behaviour = works
    clock.advance(2)
    assert "bad" in {(await asked(gateway, WRITES))[0] for _ in range(4)}


async def test_an_open_breaker_takes_its_target_out_and_no_further_call_fails(clock: ManualClock) -> None:
    gateway, bad, _good = pair(clock, GatewayFailed("broke off"))
    failures = 0
    for _ in range(20):
        try:
            await gateway.call(WRITES, {}, no_progress)
        except GatewayFailed:
            failures += 1
    assert failures == len(bad.called) == 3


async def test_a_service_that_one_head_has_lost_is_called_at_the_other(clock: ManualClock) -> None:
    gateway, bad, _good = pair(clock, UpstreamFailed("this head can't reach it"))
    for _ in range(20):
        with suppress(UpstreamFailed):
            await gateway.call(WRITES, {}, no_progress)
    assert len(bad.called) == 3
    for _ in range(2):
        with suppress(UpstreamFailed):
            await gateway.call(tool("other", "another"), {}, no_progress)
    assert "another::other" in bad.called


async def test_when_every_target_is_out_each_is_named_with_its_time(clock: ManualClock) -> None:
    gateway, _bad, good = pair(clock, GatewayUnreachable("refused"))
    good.behaviour = failing(GatewayUnreachable("refused too"))
    for _ in range(3):
        with pytest.raises((GatewayUnreachable, BreakerOpen)):
            await gateway.call(WRITES, {}, no_progress)
    clock.advance(10)
    with pytest.raises(BreakerOpen) as caught:
        await gateway.call(WRITES, {}, no_progress)
    assert caught.value.waits == pytest.approx({"bad": 20, "good": 20})
    assert "bad is tried again in 20 s; good is tried again in 20 s" in caught.value.next_step


async def test_with_every_target_drained_that_is_said(clock: ManualClock) -> None:
    gateway, _bad, _good = pair(clock, GatewayFailed("x"))
    gateway.pool.drain("bad")
    gateway.pool.drain("good")
    with pytest.raises(NoTarget, match="bad, good are drained"):
        await gateway.call(READS, {}, no_progress)


async def test_a_listing_that_fails_at_one_target_comes_from_the_next(clock: ManualClock) -> None:
    gateway, bad, good = pair(clock, GatewayFailed("x"))

    async def broken() -> list[Tool]:
        raise GatewayFailed("half a JSON")

    bad.listing = broken
    assert [one.name for one in await gateway.list_tools()] == ["a"]
    good.listing = broken
    with pytest.raises(GatewayFailed):
        await gateway.list_tools()


async def test_health_is_that_of_all_targets(clock: ManualClock) -> None:
    gateway, _bad, _good = pair(clock, GatewayFailed("x"))
    health = await gateway.check()
    assert health.ok
    assert "2 of 2 targets work" in health.detail


async def test_outcomes_are_counted_for_the_target_and_for_the_service(clock: ManualClock) -> None:
    gateway, _bad, _good = pair(clock, UpstreamFailed("died"))
    for _ in range(2):
        with suppress(UpstreamFailed):
            await gateway.call(WRITES, {}, no_progress)
    windows = {member.name: member.state.window.summary() for member in gateway.pool.members()}
    assert {name: (w.requests, w.success_rate) for name, w in windows.items()} == {
        "bad": (1, 1.0),
        "good": (1, 1.0),
    }
    service = gateway.windows.of("time").summary()
    assert (service.requests, service.error_rate) == (2, 0.5)
