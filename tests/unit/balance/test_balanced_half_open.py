"""What a guard's breakers let through while they are open or half-open, and what they say."""

from __future__ import annotations

import anyio
import pytest
from mcp.types import CallToolResult
from structlog.testing import capture_logs

from tests.unit.balance.clock import ManualClock
from tests.unit.balance.gateways import Behaviour, SteeredGateway, failing, tool, works
from tests.unit.balance.guarded import OTHER, A, B, answers, call, fails, guarded, refusal
from tool_router.balance.breaker import BreakerSettings, State
from tool_router.catalog.model import Tool
from tool_router.errors import (
    BreakerOpen,
    GatewayFailed,
    GatewayUnreachable,
    UpstreamFailed,
)
from tool_router.gateway.protocol import no_progress

pytestmark = pytest.mark.anyio


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
