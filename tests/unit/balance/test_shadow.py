"""A shadow strategy is shown every decision, changes none, and says what it would have changed."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from tests.unit.balance.clock import ManualClock
from tool_router.balance.requirements import CallRequest
from tool_router.balance.shadow import MOST_MOVES, Shadow
from tool_router.balance.strategies import make_strategy
from tool_router.balance.target_state import TargetSpec, TargetState
from tool_router.balance.window import PerformanceWindow, Result

ANY = CallRequest()


def targets_of(clock: ManualClock, count: int) -> list[TargetState]:
    return [TargetState(TargetSpec(f"t{n}"), PerformanceWindow(clock)) for n in range(count)]


def shadow_of(name: str, seed: int = 1) -> Shadow:
    return Shadow(make_strategy(name, None, random.Random(seed).random))


def test_a_shadow_of_the_same_kind_agrees_with_everything(clock: ManualClock) -> None:
    targets = targets_of(clock, 3)
    strategy, shadow = make_strategy("round_robin"), shadow_of("round_robin")
    for _ in range(30):
        shadow.decided(targets, ANY, strategy.choose(targets, ANY))

    report = shadow.report()
    assert (report.strategy, report.decisions, report.agreed, report.changed) == ("round_robin", 30, 30, 0)
    assert report.moves == {}


def test_what_it_would_have_moved_is_counted_by_pair_with_what_that_would_bring(
    clock: ManualClock,
) -> None:
    targets = targets_of(clock, 2)
    for number in range(100):
        targets[0].window.record(Result.SUCCESS if number % 2 else Result.TIMEOUT, 400.0)
        targets[1].window.record(Result.SUCCESS, 50.0)
    shadow = shadow_of("performance")
    for _ in range(200):
        shadow.decided(targets, ANY, 0)

    report = shadow.report()
    assert report.moves == {("t0", "t1"): report.changed}
    assert report.compared == report.changed > 180
    assert report.latency_change_ms == pytest.approx(-350.0)
    assert report.success_change == pytest.approx(0.5)


def test_targets_without_a_record_are_counted_but_not_compared(clock: ManualClock) -> None:
    targets = targets_of(clock, 2)
    targets[0].in_flight = 5
    shadow = shadow_of("least_loaded")
    shadow.decided(targets, ANY, 0)

    report = shadow.report()
    assert (report.changed, report.compared, report.latency_change_ms) == (1, 0, 0.0)


def test_it_changes_nothing_of_the_targets(clock: ManualClock) -> None:
    targets = targets_of(clock, 3)
    shadow = shadow_of("adaptive")
    for _ in range(50):
        clock.advance(1.0)
        shadow.decided(targets, ANY, 1)

    assert [(one.in_flight, one.queued, one.share) for one in targets] == [(0, 0, 1.0)] * 3
    assert all(one.window.summary().requests == 0 for one in targets)


def test_reset_begins_anew(clock: ManualClock) -> None:
    shadow = shadow_of("random")
    for _ in range(20):
        shadow.decided(targets_of(clock, 4), ANY, 0)
    shadow.reset()

    assert shadow.report() == shadow_of("random").report()


def test_pairs_are_bounded_and_the_rest_is_counted_together(clock: ManualClock) -> None:
    targets = targets_of(clock, 30)
    shadow = shadow_of("random")
    draw = random.Random(2)

    def decide(times: int) -> None:
        for _ in range(times):
            shadow.decided(targets, ANY, draw.randrange(30))

    decide(2000)
    report = shadow.report()
    assert len(report.moves) == MOST_MOVES
    assert sum(report.moves.values()) + report.other_moves == report.changed
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        decide(5000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
