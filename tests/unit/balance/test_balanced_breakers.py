"""What the guard's breakers make of every kind of outcome, and whom they hold off."""

from __future__ import annotations

import pytest
from mcp.types import CallToolResult

from tests.unit.balance.clock import ManualClock
from tests.unit.balance.gateways import SteeredGateway, failing, text, tool, works
from tests.unit.balance.guarded import OTHER, A, B, answers, fails, guarded, refusal
from tool_router.balance.breaker import BreakerSettings, State
from tool_router.catalog.model import Tool
from tool_router.errors import (
    BreakerOpen,
    GatewayBusy,
    GatewayError,
    GatewayFailed,
    GatewayProtocolError,
    GatewayRejected,
    GatewayTimeout,
    GatewayUnreachable,
    ToolUnavailable,
    UpstreamFailed,
)
from tool_router.gateway.protocol import Gateway, no_progress

pytestmark = pytest.mark.anyio


def test_it_is_a_gateway_with_the_key_of_the_one_inside(clock: ManualClock) -> None:
    gateway = guarded(SteeredGateway(), clock)
    assert isinstance(gateway, Gateway)
    assert gateway.key == "steered"


async def test_opening_it_opens_the_one_inside(clock: ManualClock) -> None:
    inner = SteeredGateway()
    async with guarded(inner, clock).open():
        assert inner.is_open
    assert not inner.is_open


@pytest.mark.parametrize(
    "error",
    [GatewayUnreachable("refused"), GatewayFailed("502"), GatewayProtocolError("html")],
    ids=lambda error: type(error).__name__,
)
async def test_a_dead_host_is_held_off_for_every_tool(clock: ManualClock, error: GatewayError) -> None:
    inner = SteeredGateway(failing(error))
    gateway = guarded(inner, clock)
    await fails(gateway, A, type(error), times=5)
    assert (await refusal(gateway, OTHER)).keys == ("target:steered",)
    assert len(inner.called) == 5
    assert gateway.admission.states() == {
        "target:steered": State.OPEN,
        "service:time": State.CLOSED,
        "tool:time::a": State.CLOSED,
        "service:git": State.CLOSED,
        "tool:git::c": State.CLOSED,
    }


async def test_a_dead_service_is_held_off_and_others_are_not(clock: ManualClock) -> None:
    async def time_is_dead(asked: Tool) -> CallToolResult:
        if asked.server == "time":
            raise UpstreamFailed("it died")
        return await works(asked)

    gateway = guarded(SteeredGateway(time_is_dead), clock)
    await fails(gateway, A, UpstreamFailed, times=4)
    await fails(gateway, B, UpstreamFailed)
    assert (await refusal(gateway, tool("never called"))).keys == ("service:time",)
    await answers(gateway, OTHER)


@pytest.mark.parametrize("error", [UpstreamFailed("crash"), GatewayTimeout("late")], ids=["crashes", "hangs"])
async def test_a_bad_tool_is_held_off_and_its_siblings_are_not(
    clock: ManualClock, error: GatewayError
) -> None:
    async def only_a_fails(asked: Tool) -> CallToolResult:
        if asked == A:
            raise error
        return await works(asked)

    gateway = guarded(SteeredGateway(only_a_fails), clock)
    await fails(gateway, A, type(error), times=5)
    for _ in range(3):
        assert (await refusal(gateway, A)).keys == ("tool:time::a",)
        await answers(gateway, B)
        await answers(gateway, OTHER)


async def test_a_service_failure_never_counts_against_the_target(clock: ManualClock) -> None:
    gateway = guarded(SteeredGateway(failing(UpstreamFailed("died"))), clock)
    for number in range(40):
        await fails(gateway, tool(f"{number}", server=f"s{number}"), UpstreamFailed)
    assert gateway.admission.states()["target:steered"] is State.CLOSED


async def test_an_upstream_failure_shows_that_the_target_answers(clock: ManualClock) -> None:
    inner = SteeredGateway(failing(GatewayUnreachable("refused")))
    gateway = guarded(inner, clock)
    await fails(gateway, A, GatewayUnreachable, times=4)
    inner.behaviour = failing(UpstreamFailed("died"))
    await fails(gateway, A, UpstreamFailed)
    inner.behaviour = failing(GatewayUnreachable("refused"))
    await fails(gateway, A, GatewayUnreachable, times=4)
    assert gateway.admission.states()["target:steered"] is State.CLOSED


async def test_timeouts_of_two_services_open_the_target(clock: ManualClock) -> None:
    gateway = guarded(SteeredGateway(failing(GatewayTimeout("late"))), clock)
    await fails(gateway, A, GatewayTimeout, times=4)
    await fails(gateway, OTHER, GatewayTimeout)
    assert (await refusal(gateway, tool("x", server="new"))).keys == ("target:steered",)


@pytest.mark.parametrize(
    "error",
    [
        GatewayRejected(404, "no"),
        GatewayRejected(401, "who"),
        ToolUnavailable("off"),
        GatewayBusy(0.0, "429"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_neutral_outcomes_open_nothing(clock: ManualClock, error: GatewayError) -> None:
    gateway = guarded(SteeredGateway(failing(error)), clock)
    await fails(gateway, A, type(error), times=20)
    assert set(gateway.admission.states().values()) == {State.CLOSED}


async def test_a_tools_own_error_is_a_success_of_all_three(clock: ManualClock) -> None:
    async def own_error(asked: Tool) -> CallToolResult:
        return text("no such city", is_error=True)

    inner = SteeredGateway()
    gateway = guarded(inner, clock)
    for error in (UpstreamFailed("died"), GatewayFailed("502")):
        for _ in range(3):
            inner.behaviour = failing(error)
            await fails(gateway, A, type(error), times=4)
            inner.behaviour = own_error
            assert await gateway.call(A, {}, no_progress) == text("no such city", is_error=True)
    assert set(gateway.admission.states().values()) == {State.CLOSED}


async def test_an_unexpected_error_passes_through_and_counts_for_nobody(clock: ManualClock) -> None:
    inner = SteeredGateway(failing(ZeroDivisionError()))
    gateway = guarded(inner, clock, BreakerSettings(failure_threshold=1))
    with pytest.raises(ZeroDivisionError):
        await gateway.call(A, {}, no_progress)
    assert set(gateway.admission.states().values()) == {State.CLOSED}


@pytest.mark.parametrize(("waited_s", "refused"), [(59.999, True), (60.0, False)])
async def test_push_back_rests_the_target_for_its_whole_time(
    clock: ManualClock, waited_s: float, refused: bool
) -> None:
    inner = SteeredGateway(failing(GatewayBusy(60.0, "429")))
    gateway = guarded(inner, clock)
    await fails(gateway, A, GatewayBusy)
    inner.behaviour = works
    clock.advance(waited_s)
    if refused:
        error = await refusal(gateway, OTHER)
        assert error.keys == ("target:steered",)
        assert error.retry_after_s == pytest.approx(60.0 - waited_s)
        assert inner.called == [A.id]
    else:
        await answers(gateway, OTHER)


async def test_push_back_ends_a_probe_without_judging_it(clock: ManualClock) -> None:
    inner = SteeredGateway(failing(GatewayUnreachable("refused")))
    gateway = guarded(inner, clock)
    await fails(gateway, A, GatewayUnreachable, times=5)
    clock.advance(30)
    inner.behaviour = failing(GatewayBusy(10.0, "429"))
    await fails(gateway, A, GatewayBusy)
    inner.behaviour = works
    clock.advance(10)
    await answers(gateway, A)
    assert gateway.admission.states()["target:steered"] is State.CLOSED


async def test_nothing_is_listed_or_checked_while_the_target_wants_to_be_left_alone(
    clock: ManualClock,
) -> None:
    inner = SteeredGateway(failing(GatewayBusy(60.0, "429")))
    gateway = guarded(inner, clock)
    await fails(gateway, A, GatewayBusy)
    with pytest.raises(BreakerOpen):
        await gateway.list_tools()
    health = await gateway.check()
    assert (health.ok, inner.checked) == (False, 0)
    assert "60 s" in health.next_step
    clock.advance(60)
    assert (await gateway.check()).ok
    assert list(await gateway.list_tools()) == [A]


async def test_an_open_breaker_does_not_keep_a_person_from_checking(clock: ManualClock) -> None:
    inner = SteeredGateway(failing(GatewayUnreachable("refused")))
    gateway = guarded(inner, clock)
    await fails(gateway, A, GatewayUnreachable, times=5)
    assert (await gateway.check()).ok


async def test_failed_listings_count_against_the_target(clock: ManualClock) -> None:
    async def unreachable() -> list[Tool]:
        raise GatewayUnreachable("refused")

    inner = SteeredGateway()
    inner.listing = unreachable
    gateway = guarded(inner, clock)
    for _ in range(5):
        with pytest.raises(GatewayUnreachable):
            await gateway.list_tools()
    assert (await refusal(gateway, A)).keys == ("target:steered",)
