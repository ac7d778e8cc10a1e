"""How the adaptive strategy learns which factors to go by."""

from __future__ import annotations

import pytest

from tests.unit.balance.clock import ManualClock
from tool_router.balance.strategies.lessons import LEARNED, Lessons
from tool_router.balance.strategies.settings import AdaptiveSettings, StrategySettings
from tool_router.balance.strategies.view import View
from tool_router.balance.target_state import TargetSpec, TargetState
from tool_router.balance.window import PerformanceWindow, Result

START = {"load": 0.25, "history": 0.3, "real_time": 0.3, "requirements": 0.15}
OLD_MS = (50.0, 100.0, 200.0)
LATE_MS = (200.0, 100.0, 50.0)


class Class:
    """Three targets that were quick in one order, and lately in the other."""

    def __init__(self, clock: ManualClock, adaptive: AdaptiveSettings | None = None) -> None:
        self.clock = clock
        self.lessons = Lessons(StrategySettings(adaptive=adaptive or AdaptiveSettings()))
        self.targets = [TargetState(TargetSpec(f"t{n}"), PerformanceWindow(clock)) for n in range(3)]
        self.calls(OLD_MS, 300)
        self.calls(LATE_MS, 30)

    def calls(self, times_ms: tuple[float, ...], count: int, good: bool = True) -> None:
        for target, ms in zip(self.targets, times_ms, strict=True):
            for _ in range(count):
                target.window.record(Result.SUCCESS if good else Result.ERROR, ms)

    def look(self, pause_s: float = 0.1) -> None:
        self.clock.advance(pause_s)
        self.lessons.refresh(self.clock())
        self.lessons.enter(View(tuple(self.targets), {}))

    def lesson(self, times_ms: tuple[float, ...], count: int = 30) -> None:
        """A whole lesson: what is foretold, what comes of it, the conclusion."""
        self.look()
        self.look()
        self.calls(times_ms, count)
        self.look(6.0)
        self.look()


def test_weights_begin_as_they_are_set(clock: ManualClock) -> None:
    assert Class(clock).lessons.weights == pytest.approx(START)


@pytest.mark.parametrize(
    ("came", "gained", "lost"),
    [(LATE_MS, "real_time", "history"), (OLD_MS, "history", "real_time")],
    ids=["the last outcomes were right", "the long record was right"],
)
def test_the_factor_that_foretold_what_came_gains_and_the_other_loses(
    came: tuple[float, ...], gained: str, lost: str, clock: ManualClock
) -> None:
    taught = Class(clock)
    taught.lesson(came)

    weights = taught.lessons.weights
    assert weights[gained] > START[gained]
    assert weights[lost] < START[lost]
    assert sum(weights.values()) == pytest.approx(1)


def test_load_gains_where_the_loaded_targets_were_the_slow_ones(clock: ManualClock) -> None:
    taught = Class(clock)
    for target, calls in zip(taught.targets, (0, 9, 0), strict=True):
        target.in_flight = calls
    taught.lesson((50.0, 400.0, 50.0))

    assert taught.lessons.weights["load"] > START["load"]


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_weights_stay_within_their_bounds_however_long_one_factor_is_right(
    rate: float, clock: ManualClock
) -> None:
    taught = Class(clock, AdaptiveSettings(learning_rate=rate, most_change=1.5))
    for _ in range(60):
        # A lesson begins right after late times, and most of what comes are early ones.
        taught.calls(OLD_MS, 40)
        taught.calls(LATE_MS, 20)
        taught.lesson(LATE_MS, 10)
        clock.advance(20)

    weights = taught.lessons.weights
    assert sum(weights.values()) == pytest.approx(1)
    # Bounds hold for the weights before they are made to add up to 1 again.
    for name in LEARNED:
        assert START[name] / 1.5 * 0.75 <= weights[name] <= START[name] * 1.5 * 1.25
    assert weights["history"] / weights["real_time"] == pytest.approx(1.5**2)


@pytest.mark.parametrize(
    "adaptive",
    [
        AdaptiveSettings(learning_rate=0.0),
        AdaptiveSettings(threshold=2.0),
        AdaptiveSettings(least_outcomes=1000),
    ],
    ids=["no rate", "no evidence reaches the threshold", "too few calls"],
)
def test_weights_stay_where_learning_is_off_or_evidence_is_weak(
    adaptive: AdaptiveSettings, clock: ManualClock
) -> None:
    taught = Class(clock, adaptive)
    taught.lesson(LATE_MS)

    assert taught.lessons.weights == pytest.approx(START)


def test_two_targets_are_too_few_to_learn_from(clock: ManualClock) -> None:
    taught = Class(clock)
    taught.targets.pop()
    taught.lesson((200.0, 100.0))

    assert taught.lessons.weights == pytest.approx(START)


def test_a_lesson_waits_for_its_time(clock: ManualClock) -> None:
    taught = Class(clock)
    taught.look()
    taught.look()
    taught.calls(LATE_MS, 30)
    taught.look(4.0)
    assert taught.lessons.weights == pytest.approx(START)
    taught.look(1.1)
    assert taught.lessons.weights != pytest.approx(START)


def test_a_window_that_is_reset_meanwhile_does_no_harm(clock: ManualClock) -> None:
    taught = Class(clock)
    taught.look()
    taught.look()
    for target in taught.targets:
        target.window.reset()
    taught.lesson(LATE_MS)

    assert sum(taught.lessons.weights.values()) == pytest.approx(1)


def test_a_target_that_joins_is_learned_about_too(clock: ManualClock) -> None:
    taught = Class(clock)
    joined = taught.targets.pop()
    taught.look()
    taught.targets.append(joined)
    taught.lesson(LATE_MS)

    assert taught.lessons.weights["real_time"] > START["real_time"]
