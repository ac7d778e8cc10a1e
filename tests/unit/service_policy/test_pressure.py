"""How readings become a level of pressure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_manager.policy.pressure import Pressure
from service_manager.policy.rules import Level, Metric, PressureRules

RULES = PressureRules()
"""Memory: elevated from 80 %, high from 90 %, emergency from 95 %; up after 10 s, down after 30 s."""


def follow(memory: Iterable[float], every_s: float = 5.0, start: Pressure | None = None) -> list[Level]:
    pressure, levels = start or Pressure(), list[Level]()
    for step, value in enumerate(memory):
        pressure = pressure.after({Metric.MEMORY: value}, step * every_s, RULES)
        levels.append(pressure.level)
    return levels


def test_a_level_holds_once_its_threshold_was_passed_for_long_enough() -> None:
    assert follow([0.85] * 4) == [Level.NORMAL, Level.NORMAL, Level.ELEVATED, Level.ELEVATED]


def test_a_peak_changes_nothing() -> None:
    assert set(follow([0.5, 0.99, 0.99, 0.5, 0.99, 0.5])) == {Level.NORMAL}


def test_a_jump_passes_over_levels() -> None:
    assert follow([0.97] * 3)[-1] is Level.EMERGENCY


def test_the_highest_level_that_lasted_holds_when_a_higher_one_did_not() -> None:
    assert follow([0.92, 0.99, 0.92])[-1] is Level.HIGH


def test_readings_within_the_margin_keep_the_level() -> None:
    assert set(follow([0.85] * 3 + [0.73] * 50)[2:]) == {Level.ELEVATED}


def test_a_level_falls_after_calm_readings_for_long_enough_and_not_before() -> None:
    levels = follow([0.85] * 3 + [0.5] * 8)
    assert levels[3:] == [Level.ELEVATED] * 6 + [Level.NORMAL] * 2


def test_calm_readings_that_are_interrupted_count_anew() -> None:
    assert follow([0.85] * 3 + [0.5] * 6 + [0.78] + [0.5] * 6)[-1] is Level.ELEVATED


def test_a_level_falls_to_the_one_the_readings_still_keep() -> None:
    levels = follow([0.97] * 3 + [0.82] * 20)
    assert levels[-1] is Level.HIGH
    levels = follow([0.97] * 3 + [0.75] * 20)
    assert levels[-1] is Level.ELEVATED


def test_readings_that_sway_about_a_threshold_do_not_make_it_flap() -> None:
    levels = follow([0.82, 0.79] * 3 + [0.82] * 3 + [0.79, 0.82] * 50)
    changes = sum(before is not after for before, after in pairwise(levels))
    assert changes == 1


@pytest.mark.parametrize(
    ("metric", "value", "level"),
    [
        (Metric.CPU, 0.95, Level.ELEVATED),
        (Metric.CPU, 1.0, Level.HIGH),
        (Metric.MEMORY_SOME, 0.3, Level.HIGH),
        (Metric.MEMORY_FULL, 0.5, Level.EMERGENCY),
        (Metric.IO_FULL, 0.9, Level.ELEVATED),
    ],
)
def test_every_metric_counts_and_the_reason_names_it(metric: Metric, value: float, level: Level) -> None:
    pressure = Pressure().after({metric: value}, 0.0, RULES).after({metric: value}, 10.0, RULES)
    assert pressure.level is level
    assert pressure.reason == f"{metric} {round(value * 100)} %"


def test_it_counts_the_readings_of_an_emergency() -> None:
    pressure = Pressure()
    counts: list[int] = []
    for step in range(5):
        pressure = pressure.after({Metric.MEMORY: 0.97}, step * 5.0, RULES)
        counts.append(pressure.readings if pressure.level is Level.EMERGENCY else 0)
    assert counts == [0, 0, 1, 2, 3]


def test_without_any_reading_the_machine_counts_as_calm() -> None:
    pressure = Pressure(Level.HIGH)
    for step in range(8):
        pressure = pressure.after({}, step * 5.0, RULES)
    assert pressure.level is Level.NORMAL


readings = st.dictionaries(st.sampled_from(Metric), st.floats(0, 1))


@given(st.lists(st.tuples(readings, st.floats(0, 100)), max_size=40))
def test_a_level_never_rises_without_its_threshold_nor_falls_in_less_than_its_time(
    course: list[tuple[dict[Metric, float], float]],
) -> None:
    pressure, now = Pressure(), 0.0
    for values, passed_s in course:
        now += passed_s
        before, pressure = pressure, pressure.after(values, now, RULES)
        if pressure.level > before.level:
            thresholds = RULES.levels[pressure.level].at
            assert any(values.get(metric, 0.0) >= at for metric, at in thresholds.items())
            assert pressure.reason
        if pressure.level < before.level:
            assert now - before.since >= RULES.fall_after_s
