"""The breaker's rules, one by one, at their boundaries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.balance.clock import ManualClock
from tool_router.balance.breaker import (
    Breaker,
    BreakerSettings,
    Rejected,
    State,
    Transition,
    admit_all,
)
from tool_router.balance.permit import Permit

DEFAULTS = BreakerSettings()


def admitted(breaker: Breaker) -> Permit:
    permit = breaker.admit()
    assert isinstance(permit, Permit)
    return permit


def refused(breaker: Breaker) -> float:
    rejected = breaker.admit()
    assert isinstance(rejected, Rejected)
    return rejected.retry_after_s


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        admitted(breaker).failure()


def opened(clock: ManualClock, settings: BreakerSettings = DEFAULTS) -> Breaker:
    breaker = Breaker(settings, clock)
    fail(breaker, settings.failure_threshold)
    assert breaker.state is State.OPEN
    return breaker


def half_opened(clock: ManualClock, settings: BreakerSettings = DEFAULTS) -> Breaker:
    breaker = opened(clock, settings)
    clock.advance(settings.open_s)
    return breaker


def test_the_fifth_consecutive_failure_opens_it_and_the_fourth_does_not(clock: ManualClock) -> None:
    breaker = Breaker(DEFAULTS, clock)
    fail(breaker, 4)
    assert breaker.state is State.CLOSED
    fail(breaker, 1)
    assert breaker.state is State.OPEN


def test_a_success_between_failures_starts_the_count_again(clock: ManualClock) -> None:
    breaker = Breaker(DEFAULTS, clock)
    fail(breaker, 4)
    admitted(breaker).success()
    fail(breaker, 4)
    assert breaker.state is State.CLOSED


def test_neutral_outcomes_neither_count_nor_start_the_count_again(clock: ManualClock) -> None:
    breaker = Breaker(DEFAULTS, clock)
    fail(breaker, 4)
    for _ in range(20):
        admitted(breaker).ignore()
    assert breaker.state is State.CLOSED
    fail(breaker, 1)
    assert breaker.state is State.OPEN


@pytest.mark.parametrize(
    ("passed_s", "admits"), [(0.0, False), (29.999, False), (30.0, True), (30.001, True)]
)
def test_it_rests_for_exactly_its_open_time(clock: ManualClock, passed_s: float, admits: bool) -> None:
    breaker = opened(clock)
    clock.advance(passed_s)
    answer = breaker.admit()
    assert isinstance(answer, Permit) is admits
    if isinstance(answer, Rejected):
        assert answer.retry_after_s == pytest.approx(30.0 - passed_s)


def test_reading_the_state_after_the_rest_moves_nothing(clock: ManualClock) -> None:
    seen: list[Transition] = []
    breaker = Breaker(replace(DEFAULTS, failure_threshold=1), clock, seen.append)
    fail(breaker, 1)
    clock.advance(30)
    assert breaker.state is State.HALF_OPEN
    assert breaker.refusal() is None
    assert [one.after for one in seen] == [State.OPEN]


@pytest.mark.parametrize("permits", [1, 3])
def test_half_open_admits_only_its_permits_at_once(clock: ManualClock, permits: int) -> None:
    breaker = half_opened(clock, replace(DEFAULTS, half_open_permits=permits))
    probes = [admitted(breaker) for _ in range(permits)]
    refused(breaker)
    probes[0].ignore()
    admitted(breaker)
    refused(breaker)


def test_the_configured_number_of_successful_probes_closes_it(clock: ManualClock) -> None:
    breaker = half_opened(clock, replace(DEFAULTS, success_threshold=2))
    admitted(breaker).success()
    assert breaker.state is State.HALF_OPEN
    admitted(breaker).success()
    assert breaker.state is State.CLOSED


def test_one_failed_probe_opens_it_for_a_whole_rest_again(clock: ManualClock) -> None:
    breaker = half_opened(clock, replace(DEFAULTS, success_threshold=3))
    admitted(breaker).success()
    clock.advance(5)
    admitted(breaker).failure()
    assert refused(breaker) == pytest.approx(30.0)


def test_successes_of_an_earlier_half_open_do_not_help_a_later_one(clock: ManualClock) -> None:
    breaker = half_opened(clock, replace(DEFAULTS, success_threshold=2))
    admitted(breaker).success()
    admitted(breaker).failure()
    clock.advance(30)
    admitted(breaker).success()
    assert breaker.state is State.HALF_OPEN


def test_a_closed_breaker_that_was_open_counts_from_zero(clock: ManualClock) -> None:
    breaker = half_opened(clock)
    admitted(breaker).success()
    fail(breaker, 4)
    assert breaker.state is State.CLOSED


def test_a_permit_counts_once_whatever_is_said_later(clock: ManualClock) -> None:
    breaker = Breaker(replace(DEFAULTS, failure_threshold=2), clock)
    permit = admitted(breaker)
    permit.failure()
    permit.failure()
    permit.success()
    assert breaker.state is State.CLOSED
    fail(breaker, 1)
    assert breaker.state is State.OPEN


def test_late_results_of_an_older_state_change_nothing(clock: ManualClock) -> None:
    breaker = Breaker(DEFAULTS, clock)
    late_success, late_failure, later_failure = admitted(breaker), admitted(breaker), admitted(breaker)
    fail(breaker, 5)
    late_success.success()
    assert breaker.state is State.OPEN
    clock.advance(30)
    probe = admitted(breaker)
    late_failure.failure()
    assert breaker.state is State.HALF_OPEN
    probe.success()
    fail(breaker, 4)
    later_failure.failure()
    assert breaker.state is State.CLOSED


def test_a_probe_of_an_earlier_half_open_frees_no_place_in_a_later_one(clock: ManualClock) -> None:
    breaker = half_opened(clock, replace(DEFAULTS, half_open_permits=2))
    slow = admitted(breaker)
    admitted(breaker).failure()
    clock.advance(30)
    admitted(breaker)
    admitted(breaker)
    slow.success()
    assert breaker.state is State.HALF_OPEN
    refused(breaker)


@pytest.mark.parametrize(("passed_s", "admits"), [(59.999, False), (60.0, True), (60.001, True)])
def test_a_lost_probe_expires_and_lets_the_next_one_through(
    clock: ManualClock, passed_s: float, admits: bool
) -> None:
    breaker = half_opened(clock)
    admitted(breaker)
    clock.advance(passed_s)
    assert isinstance(breaker.admit(), Permit) is admits


@pytest.mark.parametrize("successful", [True, False])
def test_an_expired_probe_that_comes_back_changes_nothing(clock: ManualClock, successful: bool) -> None:
    breaker = half_opened(clock)
    lost = admitted(breaker)
    clock.advance(60)
    if successful:
        lost.success()
    else:
        lost.failure()
    assert breaker.state is State.HALF_OPEN
    admitted(breaker)
    refused(breaker)


def test_a_refusal_during_probes_names_a_time_within_one_rest(clock: ManualClock) -> None:
    breaker = half_opened(clock, replace(DEFAULTS, permit_ttl_s=500))
    admitted(breaker)
    assert refused(breaker) == pytest.approx(30.0)
    clock.advance(490)
    assert refused(breaker) == pytest.approx(10.0)


@pytest.mark.parametrize(("passed_s", "admits"), [(0.0, False), (59.999, False), (60.0, True)])
def test_push_back_holds_a_closed_breaker_off_for_its_whole_time(
    clock: ManualClock, passed_s: float, admits: bool
) -> None:
    breaker = Breaker(DEFAULTS, clock)
    breaker.rest(clock() + 60)
    breaker.rest(clock() + 5)
    clock.advance(passed_s)
    assert isinstance(breaker.admit(), Permit) is admits
    assert breaker.state is State.CLOSED


def test_push_back_outlasts_an_open_state(clock: ManualClock) -> None:
    breaker = opened(clock)
    breaker.rest(clock() + 60)
    clock.advance(30)
    assert refused(breaker) == pytest.approx(30.0)
    clock.advance(30)
    admitted(breaker)


def test_a_reset_closes_it_ends_the_push_back_and_outdates_what_is_under_way(clock: ManualClock) -> None:
    breaker = half_opened(clock)
    probe = admitted(breaker)
    breaker.rest(clock() + 60)
    breaker.reset()
    assert breaker.state is State.CLOSED
    fail(breaker, 4)
    probe.failure()
    assert breaker.state is State.CLOSED


def test_a_reset_forgets_the_failures_of_a_closed_breaker(clock: ManualClock) -> None:
    breaker = Breaker(DEFAULTS, clock)
    fail(breaker, 4)
    breaker.reset()
    fail(breaker, 4)
    assert breaker.state is State.CLOSED


def test_every_transition_is_told_once_with_its_time(clock: ManualClock) -> None:
    seen: list[Transition] = []
    breaker = Breaker(DEFAULTS, clock, seen.append)
    breaker.reset()
    fail(breaker, 5)
    clock.advance(30)
    admitted(breaker).success()
    breaker.reset()
    assert seen == [
        Transition(State.CLOSED, State.OPEN, 1000.0),
        Transition(State.OPEN, State.HALF_OPEN, 1030.0),
        Transition(State.HALF_OPEN, State.CLOSED, 1030.0),
    ]


def test_failures_that_one_suspect_explains_do_not_open_it(clock: ManualClock) -> None:
    breaker = Breaker(DEFAULTS, clock)
    for _ in range(50):
        admitted(breaker).failure("tool:a")
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("other", ["tool:b", ""])
def test_a_run_with_a_second_suspect_or_a_certain_failure_opens_it(clock: ManualClock, other: str) -> None:
    breaker = Breaker(DEFAULTS, clock)
    for _ in range(4):
        admitted(breaker).failure("tool:a")
    admitted(breaker).failure(other)
    assert breaker.state is State.OPEN


def test_a_success_clears_the_suspects_too(clock: ManualClock) -> None:
    breaker = Breaker(DEFAULTS, clock)
    admitted(breaker).failure("tool:b")
    admitted(breaker).success()
    for _ in range(6):
        admitted(breaker).failure("tool:a")
    assert breaker.state is State.CLOSED


def test_a_suspect_is_enough_to_fail_a_probe(clock: ManualClock) -> None:
    breaker = half_opened(clock)
    admitted(breaker).failure("tool:a")
    assert breaker.state is State.OPEN


def test_a_call_refused_elsewhere_uses_up_no_probe_and_moves_no_state(clock: ManualClock) -> None:
    seen: list[Transition] = []
    ready = Breaker(replace(DEFAULTS, failure_threshold=1), clock, seen.append)
    fail(ready, 1)
    clock.advance(30)
    closed, shut = Breaker(DEFAULTS, clock), opened(clock)
    seen.clear()
    answers = admit_all({"ready": ready, "shut": shut, "closed": closed})
    assert answers == {"shut": Rejected(30.0)}
    assert seen == []
    assert isinstance(admitted(ready), Permit)


def test_a_call_that_all_admit_gets_a_permit_of_each(clock: ManualClock) -> None:
    answers = admit_all({"a": Breaker(DEFAULTS, clock), "b": half_opened(clock)})
    assert [isinstance(one, Permit) for one in answers.values()] == [True, True]
    assert list(answers) == ["a", "b"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_threshold": 0},
        {"half_open_permits": 0},
        {"success_threshold": 0},
        {"open_s": 0.0},
        {"permit_ttl_s": -1.0},
        {"open_s": float("nan")},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        replace(DEFAULTS, **wrong)
