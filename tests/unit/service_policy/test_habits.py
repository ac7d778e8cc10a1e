"""Services are woken ahead of the time at which they are usually used."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_manager.policy.habits import SERVICES, Habits, habits_from_json
from service_manager.policy.rules import PredictiveRules

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
RULES = PredictiveRules(services=2, ahead_s=120.0, observations=3)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A time so many days after a Monday."""
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


def learned(name: str, moments: Iterable[datetime], habits: Habits | None = None) -> Habits:
    habits = habits or Habits()
    for moment in moments:
        habits.used(name, moment)
    return habits


def due(habits: Habits, now: datetime, asked_at: datetime | None = None) -> tuple[str, ...]:
    return habits.due(now, RULES, lambda name: True, asked_at)


def test_what_is_used_at_nine_every_day_is_woken_shortly_before() -> None:
    habits = learned("mail", (at(day, 9, 4) for day in range(3)))

    assert due(habits, at(3, 8, 59)) == ("mail",)
    assert due(habits, at(3, 8, 57)) == ()
    assert due(habits, at(3, 9, 1)) == ()
    assert due(habits, at(3, 20)) == ()


def test_two_days_are_no_habit_yet() -> None:
    assert due(learned("mail", (at(day, 9) for day in range(2))), at(2, 8, 59)) == ()


def test_many_uses_on_one_day_are_one_observation() -> None:
    assert due(learned("mail", (at(0, 9, minute) for minute in range(15))), at(1, 8, 59)) == ()


def test_only_what_is_new_has_to_be_kept() -> None:
    habits = Habits()
    assert [habits.used("mail", at(0, 9, minute)) for minute in (0, 5, 14, 15)] == [True, False, False, True]


def test_after_a_long_absence_a_service_is_observed_anew() -> None:
    habits = learned("mail", [at(0, 15)])
    learned("mail", (at(100 + day, 9) for day in range(3)), habits)

    assert due(habits, at(103, 8, 59)) == ("mail",)


def test_what_is_used_on_mondays_is_woken_on_mondays_only() -> None:
    habits = learned("report", (at(7 * week, 9) for week in range(4)))

    assert due(habits, at(28, 8, 59)) == ("report",)
    assert [due(habits, at(28 + day, 8, 59)) for day in range(1, 7)] == [()] * 6


def test_what_is_used_on_working_days_is_left_alone_at_the_weekend() -> None:
    days = [day for day in range(28) if day % 7 < 5]
    habits = learned("git", (at(day, 9) for day in days))

    assert [due(habits, at(28 + day, 8, 59)) == ("git",) for day in range(7)] == [True] * 5 + [False] * 2


def test_what_happens_less_than_every_second_time_is_no_habit() -> None:
    assert due(learned("rare", (at(day, 9) for day in range(0, 30, 4))), at(30, 8, 59)) == ()


def test_habits_fade() -> None:
    habits = learned("mail", (at(day, 9) for day in range(30)))

    assert due(habits, at(30, 8, 59)) == ("mail",)
    assert due(habits, at(30 + 90, 8, 59)) == ()


def test_no_more_are_woken_than_allowed_and_the_likeliest_first() -> None:
    habits = learned("always", (at(day, 9) for day in range(12)))
    learned("mostly", (at(day, 9) for day in range(12) if day % 4), habits)
    learned("often", (at(day, 9) for day in range(12) if day % 3), habits)

    assert due(habits, at(12, 8, 59)) == ("always", "mostly")
    assert habits.due(at(12, 8, 59), RULES, lambda name: name != "always") == ("mostly", "often")


def test_nothing_is_woken_where_it_is_switched_off() -> None:
    habits = learned("mail", (at(day, 9) for day in range(9)))
    assert habits.due(at(9, 8, 59), PredictiveRules(enabled=False), lambda name: True) == ()


def test_one_quarter_hour_wakes_a_service_once() -> None:
    habits = learned("mail", (at(day, 9) for day in range(5)))

    asked_at, found = at(5, 8, 50), list[datetime]()
    for second in range(0, 900, 5):
        now = at(5, 8, 50) + timedelta(seconds=second)
        if due(habits, now, asked_at):
            found.append(now)
        asked_at = now
    assert found == [at(5, 8, 58)]


@pytest.mark.parametrize("jump_days", [-20_000, -400, 400, 20_000])
def test_a_clock_that_jumps_and_comes_back_leaves_habits_that_heal(jump_days: int) -> None:
    habits = learned("mail", (at(day, 9) for day in range(20)))

    learned("mail", (at(20 + jump_days, 9), at(21 + jump_days, 9)), habits)
    assert due(habits, at(20, 8, 59), asked_at=at(20 + jump_days, 9)) in ((), ("mail",))
    learned("mail", (at(day, 9) for day in range(20, 50)), habits)

    assert due(habits, at(50, 8, 59)) == ("mail",)
    assert due(habits, at(50, 14, 59)) == ()


def test_what_was_learned_survives_a_restart() -> None:
    habits = learned("mail", (at(day, 9) for day in range(5)))
    again = habits_from_json(json.loads(json.dumps(habits.to_json())))

    assert due(again, at(5, 8, 59)) == ("mail",)
    assert again.to_json() == habits.to_json()


def test_services_that_are_gone_are_forgotten() -> None:
    habits = learned("gone", [at(0, 9)], learned("kept", [at(0, 9)]))
    habits.keep({"kept"})
    assert list(habits.to_json()["services"]) == ["kept"]


def test_memory_is_bounded_and_the_longest_unused_go_first() -> None:
    habits = learned("kept", [at(0, 9)])
    for number in range(SERVICES):
        learned(f"s{number}", [at(0, 10)], habits)
        habits.used("kept", at(0, 11))
    known = habits.to_json()["services"]
    assert len(known) == SERVICES
    assert "kept" in known
    assert "s0" not in known


moments = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.lists(st.tuples(st.sampled_from("abc"), moments), max_size=40), moments, moments)
def test_no_course_of_the_clock_breaks_it(
    uses: list[tuple[str, datetime]], now: datetime, asked_at: datetime
) -> None:
    habits = Habits()
    for name, moment in uses:
        habits.used(name, moment)
    assert len(due(habits, now, asked_at)) <= RULES.services
    again = habits_from_json(json.loads(json.dumps(habits.to_json())))
    for name in "abc":
        chance = habits.likelihood(name, now, 1)
        assert 0.0 <= chance <= 1.0
        assert again.likelihood(name, now, 1) == pytest.approx(chance, abs=0.001)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
services = st.fixed_dictionaries(
    {"first": json_values | st.just(730_000), "last": json_values | st.just(730_000)},
    optional={"marks": st.dictionaries(st.sampled_from(["0", "671", "672", "-1", "x"]), json_values)},
)


@given(
    json_values
    | st.fixed_dictionaries({"version": st.just(1), "services": st.dictionaries(st.text(), services)})
)
def test_a_file_that_was_damaged_is_forgotten_and_no_error(value: object) -> None:
    habits = habits_from_json(value)
    habits.used("s", at(0, 9))
    due(habits, at(0, 9))
    json.dumps(habits.to_json())
