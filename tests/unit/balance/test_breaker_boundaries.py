"""The breaker to the millisecond: the moment before a boundary, the boundary, the moment after."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.balance.clock import ManualClock
from tool_router.balance.admission import Admission
from tool_router.balance.breaker import Breaker, BreakerSettings, Rejected, State, Transition
from tool_router.balance.outcome import CallKeys
from tool_router.balance.permit import Permit
from tool_router.errors import BreakerOpen, GatewayBusy, GatewayFailed

DEFAULTS = BreakerSettings()

SOON_S = 0.001
"""The clocks of the machine may tick slower; the rules do not."""

STARTS = pytest.mark.parametrize("start", [0.0, 1000.0, 123_456.789, 10_000_000.1])
"""Readings of a monotonic clock: of a machine that was just started, and of one that runs for months."""


@pytest.fixture
def clock(start: float) -> ManualClock:
    clock = ManualClock()
    clock.now = start
    return clock


class At:
    """Moves the clock to so many milliseconds after the moment it was made, without adding up errors."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._began = clock.now

    def __call__(self, milliseconds: int) -> None:
        self._clock.now = self._began + milliseconds / 1000


def admitted(breaker: Breaker) -> Permit:
    permit = breaker.admit()
    assert isinstance(permit, Permit)
    return permit


def opened(clock: ManualClock, settings: BreakerSettings = DEFAULTS) -> tuple[Breaker, At]:
    breaker = Breaker(settings, clock)
    for _ in range(settings.failure_threshold):
        admitted(breaker).failure()
    assert breaker.state is State.OPEN
    return breaker, At(clock)


def probing(clock: ManualClock, settings: BreakerSettings = DEFAULTS) -> tuple[Breaker, Permit, At]:
    """A breaker with one probe out, and the time since that probe was admitted."""
    breaker, at = opened(clock, settings)
    at(30_000)
    return breaker, admitted(breaker), At(clock)


@STARTS
@pytest.mark.parametrize(
    ("milliseconds", "state"),
    [(29_999, State.OPEN), (30_000, State.HALF_OPEN), (30_001, State.HALF_OPEN)],
)
def test_it_admits_from_the_thirty_thousandth_millisecond_on(
    clock: ManualClock, milliseconds: int, state: State
) -> None:
    breaker, at = opened(clock)
    at(milliseconds)
    assert breaker.state is state
    answer = breaker.admit()
    if state is State.OPEN:
        assert isinstance(answer, Rejected)
        assert answer.retry_after_s == pytest.approx(SOON_S, rel=1e-3)
    else:
        assert isinstance(answer, Permit)


@STARTS
def test_a_refusal_names_the_very_moment_that_admits(clock: ManualClock) -> None:
    breaker, at = opened(clock)
    at(12_345)
    refusal = breaker.refusal()
    assert refusal is not None
    clock.now += refusal.retry_after_s + 1e-6
    admitted(breaker)


@STARTS
@pytest.mark.parametrize(("milliseconds", "admits"), [(29_999, False), (30_000, True), (30_001, True)])
def test_a_failed_probe_rests_it_from_its_failure_and_not_from_its_admission(
    clock: ManualClock, milliseconds: int, admits: bool
) -> None:
    breaker, probe, at = probing(clock)
    at(7_000)
    probe.failure()
    At(clock)(milliseconds)
    assert isinstance(breaker.admit(), Permit) is admits


@STARTS
@pytest.mark.parametrize(("milliseconds", "admits"), [(59_999, False), (60_000, True), (60_001, True)])
def test_the_place_of_a_lost_probe_is_free_from_its_expiry_on(
    clock: ManualClock, milliseconds: int, admits: bool
) -> None:
    breaker, _, at = probing(clock)
    at(milliseconds)
    assert isinstance(breaker.admit(), Permit) is admits


@STARTS
@pytest.mark.parametrize(
    ("milliseconds", "after_success", "after_failure"),
    [
        (59_999, State.CLOSED, State.OPEN),
        (60_000, State.HALF_OPEN, State.HALF_OPEN),
        (60_001, State.HALF_OPEN, State.HALF_OPEN),
    ],
)
def test_a_probe_counts_until_its_expiry_and_no_longer(
    clock: ManualClock, milliseconds: int, after_success: State, after_failure: State
) -> None:
    for give_back, state in ((Permit.success, after_success), (Permit.failure, after_failure)):
        breaker, probe, at = probing(clock)
        at(milliseconds)
        give_back(probe)
        assert breaker.state is state


@STARTS
@pytest.mark.parametrize(("milliseconds", "admitted_more"), [(59_999, 0), (60_000, 1), (60_500, 2)])
def test_each_probe_expires_by_itself(clock: ManualClock, milliseconds: int, admitted_more: int) -> None:
    breaker, _, at = probing(clock, replace(DEFAULTS, half_open_permits=2))
    at(500)
    admitted(breaker)
    at(milliseconds)
    answers = [breaker.admit() for _ in range(3)]
    assert sum(isinstance(answer, Permit) for answer in answers) == admitted_more


@STARTS
@pytest.mark.parametrize(("milliseconds", "admits"), [(6_999, False), (7_000, True), (7_001, True)])
def test_a_push_back_holds_to_its_last_millisecond(
    clock: ManualClock, milliseconds: int, admits: bool
) -> None:
    breaker, at = Breaker(DEFAULTS, clock), At(clock)
    breaker.rest(clock.now + 7)
    at(milliseconds)
    assert isinstance(breaker.admit(), Permit) is admits
    assert breaker.resting is not admits


@STARTS
@pytest.mark.parametrize(("milliseconds", "admits"), [(29_999, False), (30_000, True), (30_001, True)])
def test_a_call_that_needs_three_breakers_keeps_the_same_boundary(
    clock: ManualClock, milliseconds: int, admits: bool
) -> None:
    moves: list[tuple[str, Transition]] = []
    admission = Admission(DEFAULTS, clock)
    admission.listen(lambda key, move: moves.append((key, move)))
    keys = CallKeys({"target": "target:a", "service": "service:b", "tool": "tool:c"})
    for _ in range(5):
        admission.failed(keys, admission.admit(keys), GatewayFailed("It broke off."))
    at = At(clock)
    at(milliseconds)
    if admits:
        admission.admit(keys)
    else:
        with pytest.raises(BreakerOpen) as caught:
            admission.admit(keys)
        assert caught.value.keys == ("target:a",)
        assert caught.value.retry_after_s == pytest.approx(SOON_S, rel=1e-3)
    assert [(key, move.after) for key, move in moves] == [("target:a", State.OPEN)] + [
        ("target:a", State.HALF_OPEN)
    ] * admits


@STARTS
@pytest.mark.parametrize(("milliseconds", "admits"), [(59_999, False), (60_000, True), (60_001, True)])
def test_a_429_is_waited_out_to_its_last_millisecond(
    clock: ManualClock, milliseconds: int, admits: bool
) -> None:
    admission = Admission(DEFAULTS, clock)
    keys = CallKeys({"target": "target:a", "tool": "tool:c"})
    admission.failed(keys, admission.admit(keys), GatewayBusy(60.0, "It answered 429."))
    At(clock)(milliseconds)
    if admits:
        admission.admit(keys)
    else:
        with pytest.raises(BreakerOpen):
            admission.admit(keys)
