"""When an idle service goes to sleep."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_manager.model import Priority, Tier
from service_manager.policy.idle import Usage, sleep_at, stays_warm
from service_manager.policy.rules import Level
from tests.unit.service_policy.specs import spec

times = st.floats(0, 1e6)
lengths = st.floats(0, 1e4)


def test_idle_time_counts_from_when_it_was_last_held() -> None:
    assert sleep_at(spec(), Usage(held=0, awake_since=0.0, idle_since=50.0)) == 150.0


def test_a_service_that_just_woke_is_left_alone() -> None:
    just_woken = Usage(held=0, awake_since=10.0, idle_since=10.0)
    assert sleep_at(spec(idle_timeout_s=1.0), just_woken) == 40.0


@pytest.mark.parametrize(
    ("priority", "at"),
    [(Priority.LOW, 50.0), (Priority.NORMAL, 100.0), (Priority.HIGH, 200.0), (Priority.CRITICAL, None)],
)
def test_lower_priorities_sleep_first_and_critical_ones_never(priority: Priority, at: float | None) -> None:
    assert sleep_at(spec(priority=priority), Usage(0, 0.0, 0.0)) == at


@pytest.mark.parametrize(
    ("priority", "tier", "warm"),
    [
        (Priority.CRITICAL, None, True),
        (Priority.CRITICAL, Tier.FROZEN, False),
        (Priority.CRITICAL, Tier.PAGED_HOT, False),
        (Priority.CRITICAL, Tier.WARM, True),
        (Priority.LOW, Tier.WARM, True),
        (Priority.LOW, None, False),
    ],
)
def test_a_critical_service_sleeps_only_in_a_tier_that_is_named(
    priority: Priority, tier: Tier | None, warm: bool
) -> None:
    asked = spec(priority=priority, sleep=tier)
    assert stays_warm(asked) is warm
    assert (sleep_at(asked, Usage(0, 0.0, 0.0)) is None) is warm


@pytest.mark.parametrize(
    ("level", "at"),
    [(Level.NORMAL, 1000.0), (Level.ELEVATED, 500.0), (Level.HIGH, 100.0), (Level.EMERGENCY, 30.0)],
)
def test_pressure_makes_it_sleep_earlier_but_not_before_its_least_time(level: Level, at: float) -> None:
    assert sleep_at(spec(idle_timeout_s=1000.0), Usage(0, 0.0, 0.0), level) == at


@given(st.sampled_from(Priority), st.sampled_from(Level), times, times, lengths, lengths)
def test_never_before_either_limit(
    priority: Priority, level: Level, awake: float, used: float, idle: float, least: float
) -> None:
    usage = Usage(0, awake, max(awake, used))
    asked = spec(priority=priority, idle_timeout_s=idle, min_sleep_time_s=least)
    at = sleep_at(asked, usage, level)
    calm = sleep_at(asked, usage)
    assert (at is None) == (calm is None) == (priority is Priority.CRITICAL)
    if at is not None and calm is not None:
        assert at >= awake + least
        assert at >= usage.idle_since
        assert at <= calm
        assert calm >= usage.idle_since + idle / 2


@given(st.integers(1, 100), st.sampled_from(Level))
def test_a_held_service_never_sleeps(held: int, level: Level) -> None:
    asked = spec(priority=Priority.LOW, idle_timeout_s=0.0, min_sleep_time_s=0.0)
    assert sleep_at(asked, Usage(held, 0.0, 0.0), level) is None
