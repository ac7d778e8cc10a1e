"""Who is stopped, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_manager.model import CommandSource, Priority, ServiceSpec
from service_manager.policy import BACKOFF_LIMIT_S, QUICK_FAILURES, Usage, retry_at, stop_at


def spec(priority: Priority = Priority.NORMAL, idle: float = 100.0, least: float = 30.0) -> ServiceSpec:
    source = CommandSource(("x",))
    return ServiceSpec("s", source, priority=priority, idle_timeout_s=idle, min_sleep_time_s=least)


def test_idle_time_counts_from_the_end_of_the_last_lease() -> None:
    assert stop_at(spec(), Usage(leases=0, started_at=0.0, idle_since=50.0)) == 150.0


def test_a_service_that_just_started_is_left_alone() -> None:
    assert stop_at(spec(idle=1.0), Usage(leases=0, started_at=10.0, idle_since=10.0)) == 40.0


@pytest.mark.parametrize(
    ("priority", "at"),
    [(Priority.LOW, 50.0), (Priority.NORMAL, 100.0), (Priority.HIGH, 200.0), (Priority.CRITICAL, None)],
)
def test_lower_priorities_stop_first_and_critical_ones_never(priority: Priority, at: float | None) -> None:
    assert stop_at(spec(priority), Usage(0, 0.0, 0.0)) == at


@given(st.sampled_from(Priority), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0, 1e4))
def test_never_before_either_limit(
    priority: Priority, started: float, used: float, idle: float, least: float
) -> None:
    usage = Usage(0, started, max(started, used))
    at = stop_at(spec(priority, idle, least), usage)
    assert at is None or (at >= started + least and at >= usage.idle_since + idle / 2)


@given(st.integers(1, 100))
def test_a_leased_service_is_never_stopped(leases: int) -> None:
    assert stop_at(spec(Priority.LOW, 0.0, 0.0), Usage(leases, 0.0, 0.0)) is None


def test_first_failures_are_retried_at_once_and_later_ones_wait_longer_and_longer() -> None:
    waits = [retry_at(failures, 0.0) for failures in range(1, 12)]
    assert waits[: QUICK_FAILURES - 1] == [0.0] * (QUICK_FAILURES - 1)
    assert waits == sorted(waits)
    assert waits[-1] == BACKOFF_LIMIT_S
