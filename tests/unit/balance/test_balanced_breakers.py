"""What the guard's breakers make of every kind of outcome, and whom they hold off."""

from __future__ import annotations

import anyio
import pytest
from mcp.types import CallToolResult
from structlog.testing import capture_logs

from tests.support.balancing import balanced
from tests.unit.balance.clock import ManualClock
from tests.unit.balance.gateways import Behaviour, SteeredGateway, failing, text, tool, works
from tool_router.balance.balanced import BalancedGateway
from tool_router.balance.breaker import BreakerSettings, State
from tool_router.balance.retry import RetrySettings
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

A, B = tool("a"), tool("b")
OTHER = tool("c", server="git")
ONCE = RetrySettings(attempts=1)


def guarded(
    inner: SteeredGateway, clock: ManualClock, settings: BreakerSettings | None = None
) -> BalancedGateway:
    return balanced(inner, settings, retry=ONCE, clock=clock)


async def fails(gateway: BalancedGateway, asked: Tool, error: type[GatewayError], times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(error):
            await gateway.call(asked, {}, no_progress)


async def answers(gateway: BalancedGateway, asked: Tool) -> None:
    assert await gateway.call(asked, {}, no_progress) == text(asked.id)


async def call(gateway: BalancedGateway, asked: Tool) -> None:
    await gateway.call(asked, {}, no_progress)


async def refusal(gateway: BalancedGateway, asked: Tool) -> BreakerOpen:
    with pytest.raises(BreakerOpen) as caught:
        await gateway.call(asked, {}, no_progress)
    return caught.value


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


async def test_a_refusal_names_every_key_and_the_last_time(clock: ManualClock) -> None:
    inner = SteeredGateway(failing(UpstreamFailed("died")))
    gateway = guarded(inner, clock)
    await fails(gateway, A, UpstreamFailed, times=5)
    clock.advance(10)
    await fails(gateway, B, UpstreamFailed)
    error = await refusal(gateway, A)
    assert error.keys == ("service:time", "tool:time::a")
    assert error.retry_after_s == pytest.approx(30.0)
    assert not error.reached_tool
    assert str(error) == (
        "Not called: service time, tool time::a failed repeatedly, or asked for a pause. "
        "The last call: died. It is tried again in 30 s."
    )


async def test_a_call_refused_elsewhere_leaves_the_probe_to_the_next_call(clock: ManualClock) -> None:
    inner = SteeredGateway(failing(UpstreamFailed("died")))
    gateway = guarded(inner, clock)
    await fails(gateway, A, UpstreamFailed, times=5)
    clock.advance(10)
    inner.behaviour = failing(GatewayUnreachable("refused"))
    await fails(gateway, OTHER, GatewayUnreachable, times=5)
    clock.advance(25)
    # The tool is ready for a probe now, its target is not.
    for _ in range(3):
        assert (await refusal(gateway, A)).keys == ("target:steered",)
    clock.advance(5)
    inner.behaviour = works
    await answers(gateway, A)
    assert set(gateway.admission.states().values()) == {State.CLOSED}


async def test_tools_without_a_service_do_not_share_a_breaker(clock: ManualClock) -> None:
    gateway = guarded(SteeredGateway(failing(UpstreamFailed("died"))), clock)
    for name in "pqrstu":
        await fails(gateway, tool(name, server=""), UpstreamFailed)
    assert "service:" not in gateway.admission.states()
    assert set(gateway.admission.states().values()) == {State.CLOSED}


@pytest.mark.parametrize("permits", [1, 2, 7])
async def test_fifty_callers_in_half_open_send_exactly_the_permitted_probes(
    clock: ManualClock, permits: int
) -> None:
    inner = SteeredGateway(failing(GatewayUnreachable("refused")))
    settings = BreakerSettings(half_open_permits=permits, success_threshold=permits)
    gateway = guarded(inner, clock, settings)
    await fails(gateway, A, GatewayUnreachable, times=5)
    clock.advance(30)
    inner.called.clear()
    release = anyio.Event()
    outcomes: list[str] = []

    async def held(asked: Tool) -> CallToolResult:
        await release.wait()
        return await works(asked)

    async def caller(number: int) -> None:
        try:
            await gateway.call(tool(f"t{number}", server=f"s{number}"), {}, no_progress)
            outcomes.append("answered")
        except BreakerOpen:
            outcomes.append("refused")

    inner.behaviour = held
    async with anyio.create_task_group() as callers:
        for number in range(50):
            callers.start_soon(caller, number)
        await anyio.wait_all_tasks_blocked()
        assert len(inner.called) == permits
        assert outcomes == ["refused"] * (50 - permits)
        assert gateway.admission.states()["target:steered"] is State.HALF_OPEN
        release.set()
    assert outcomes.count("answered") == permits
    assert len(inner.called) == permits
    assert gateway.admission.states()["target:steered"] is State.CLOSED


async def test_a_cancelled_probe_gives_its_place_back_at_once(clock: ManualClock) -> None:
    inner = SteeredGateway(failing(GatewayUnreachable("refused")))
    gateway = guarded(inner, clock)
    await fails(gateway, A, GatewayUnreachable, times=5)
    clock.advance(30)
    started = anyio.Event()

    async def hangs(asked: Tool) -> CallToolResult:
        started.set()
        await anyio.sleep_forever()
        raise AssertionError

    inner.behaviour = hangs
    async with anyio.create_task_group() as callers:
        callers.start_soon(call, gateway, A)
        await started.wait()
        await refusal(gateway, A)
        callers.cancel_scope.cancel()
    assert gateway.admission.states()["target:steered"] is State.HALF_OPEN
    inner.behaviour = works
    await answers(gateway, A)
    assert gateway.admission.states()["target:steered"] is State.CLOSED


async def test_a_hundred_cancelled_calls_open_nothing(clock: ManualClock) -> None:
    waiting = 0
    all_waiting = anyio.Event()

    async def hangs(asked: Tool) -> CallToolResult:
        nonlocal waiting
        waiting += 1
        if waiting == 100:
            all_waiting.set()
        await anyio.sleep_forever()
        raise AssertionError

    gateway = guarded(SteeredGateway(hangs), clock)
    async with anyio.create_task_group() as callers:
        for _ in range(100):
            callers.start_soon(call, gateway, A)
        await all_waiting.wait()
        callers.cancel_scope.cancel()
    assert set(gateway.admission.states().values()) == {State.CLOSED}


async def test_a_late_failure_from_before_the_recovery_changes_nothing(clock: ManualClock) -> None:
    inner = SteeredGateway()
    gateway = guarded(inner, clock)
    release, waiting = anyio.Event(), 0

    async def slow_failure(asked: Tool) -> CallToolResult:
        nonlocal waiting
        waiting += 1
        await release.wait()
        raise GatewayFailed("502, at last")

    inner.behaviour = slow_failure
    async with anyio.create_task_group() as callers:
        for _ in range(8):
            callers.start_soon(fails, gateway, A, GatewayFailed)
        await anyio.wait_all_tasks_blocked()
        assert waiting == 8
        inner.behaviour = failing(GatewayUnreachable("refused"))
        await fails(gateway, B, GatewayUnreachable, times=5)
        clock.advance(30)
        inner.behaviour = works
        await answers(gateway, B)
        release.set()
    assert gateway.admission.states()["target:steered"] is State.CLOSED


async def test_a_reset_lets_calls_through_at_once(clock: ManualClock) -> None:
    inner = SteeredGateway(failing(GatewayUnreachable("refused")))
    gateway = guarded(inner, clock)
    await fails(gateway, A, GatewayUnreachable, times=5)
    assert gateway.admission.reset("target:steered") == ("target:steered",)
    assert gateway.admission.reset("target:unknown") == ()
    inner.behaviour = works
    await answers(gateway, A)
    assert set(gateway.admission.reset()) == {"target:steered", "service:time", "tool:time::a"}


async def test_each_transition_is_logged_once(clock: ManualClock) -> None:
    behaviours: list[Behaviour] = [failing(GatewayUnreachable("refused"))] * 5 + [works]
    inner = SteeredGateway()
    with capture_logs() as logs:
        gateway = guarded(inner, clock)
        for behaviour in behaviours[:5]:
            inner.behaviour = behaviour
            await fails(gateway, A, GatewayUnreachable)
        for _ in range(10):
            await refusal(gateway, A)
        clock.advance(30)
        inner.behaviour = behaviours[5]
        await answers(gateway, A)
    moved = [entry for entry in logs if entry["event"] == "breaker_moved"]
    assert [(entry["key"], entry["before"], entry["after"], entry["log_level"]) for entry in moved] == [
        ("target:steered", "closed", "open", "warning"),
        ("target:steered", "open", "half_open", "info"),
        ("target:steered", "half_open", "closed", "info"),
    ]
