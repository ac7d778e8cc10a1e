"""When a service that failed is started again."""

from __future__ import annotations

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from service_manager.policy.restart import (
    BACKOFF_LIMIT_S,
    BACKOFF_S,
    EARLY_DEATH_S,
    QUICK_FAILURES,
    Failures,
    retry_at,
)


def failed(times: int, now: float = 0.0) -> Failures:
    return reduce(lambda failures, _: failures.not_started(now), range(times), Failures())


def test_first_failures_are_retried_at_once_and_later_ones_wait_longer_and_longer() -> None:
    waits = [retry_at(failures, 0.0) for failures in range(1, 12)]
    assert waits[: QUICK_FAILURES - 1] == [0.0] * (QUICK_FAILURES - 1)
    assert waits[QUICK_FAILURES - 1] == BACKOFF_S
    assert waits == sorted(waits)
    assert waits[-1] == BACKOFF_LIMIT_S


@given(st.integers(0, 10**9), st.floats(0, 1e9))
def test_no_wait_is_longer_than_the_longest(failures: int, now: float) -> None:
    assert now <= retry_at(failures, now) <= now + BACKOFF_LIMIT_S


def test_the_third_failure_in_a_row_gives_it_up_until_the_wait_has_passed() -> None:
    assert [failed(times).given_up for times in range(5)] == [False, False, False, True, True]
    assert failed(3, now=100.0).retry_at == 100.0 + BACKOFF_S


def test_a_death_within_a_minute_counts_as_a_start_that_failed() -> None:
    failures = failed(2).died(started_at=10.0, now=10.0 + EARLY_DEATH_S - 1)
    assert failures.count == 3
    assert failures.given_up


def test_a_death_after_a_longer_run_is_the_first_failure_again() -> None:
    assert failed(7).died(started_at=10.0, now=10.0 + EARLY_DEATH_S) == Failures(1, 10.0 + EARLY_DEATH_S)


def test_a_long_run_makes_good_for_failures_and_a_short_one_does_not() -> None:
    assert failed(2).ended(started_at=0.0, now=EARLY_DEATH_S) == Failures()
    assert failed(2).ended(started_at=0.0, now=1.0) == failed(2)
