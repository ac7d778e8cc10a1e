"""What is usual, and what is not: told once, over once, and what stays becomes usual."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_manager.monitor.anomaly import LEARNED, Metric, Rule, Verdict, Watch, judge
from service_manager.monitor.baseline import Baseline, weight_of
from service_manager.monitor.rates import Rates
from service_manager.monitor.tracker import Anomaly, Tracker, watched
from service_manager.resources import MemoryUse, ResourceUse

RULE = Rule(floor=10.0, sigmas=4.0, in_a_row=3, learned=10)
WEIGHT = weight_of(30.0)
values = st.floats(0, 1e6, allow_nan=False)


class Told:
    """A tracker of one metric, and what it told."""

    def __init__(self, rule: Rule = RULE) -> None:
        self.began: list[Anomaly] = []
        self.ended: list[Anomaly] = []
        self.now = 0.0
        self.tracker = Tracker({Metric.CPU: rule}, WEIGHT, self.began.append, self.ended.append)

    def read(self, *values: float) -> None:
        for value in values:
            self.now += 30
            self.tracker.observe("time", {Metric.CPU: value}, self.now)

    @property
    def now_anomalous(self) -> bool:
        return bool(self.tracker.anomalies("time"))


@given(st.lists(values, min_size=1, max_size=50))
def test_the_first_readings_give_their_plain_mean_and_variance(readings: list[float]) -> None:
    baseline = Baseline()
    for value in readings:
        baseline = baseline.learned(value, weight=0.0)

    assert baseline.mean == pytest.approx(statistics.fmean(readings), rel=1e-6, abs=1e-6)
    assert baseline.variance == pytest.approx(statistics.pvariance(readings), rel=1e-6, abs=1e-3)


@given(st.lists(values, min_size=1, max_size=50), st.floats(0, 1))
def test_a_mean_stays_between_the_least_and_the_most_and_no_variance_is_negative(
    readings: list[float], weight: float
) -> None:
    baseline = Baseline()
    for value in readings:
        baseline = baseline.learned(value, weight)

    assert min(readings) - 1e-6 <= baseline.mean <= max(readings) + 1e-6
    assert baseline.variance >= 0


def test_after_a_half_life_the_old_weighs_as_much_as_the_new() -> None:
    baseline = Baseline(mean=0.0, variance=0.0, readings=10_000)
    for _ in range(120):
        baseline = baseline.learned(100.0, weight_of(30.0, half_life_s=3600.0))

    assert baseline.mean == pytest.approx(50.0)


def test_a_service_that_uses_more_for_a_while_is_told_once_and_is_over_once() -> None:
    told = Told()
    told.read(*[5.0] * 20, *[90.0] * 2)
    assert told.began == []
    told.read(90.0)
    (began,) = told.began
    assert (began.service, began.metric, began.value, began.since) == ("time", Metric.CPU, 90.0, told.now)
    # What was usual before: its own first readings hardly count.
    assert began.usual < 8.0
    told.read(95.0, 99.0)
    assert [found.value for found in told.tracker.anomalies("time")] == [99.0]
    told.read(5.0, 5.0)
    assert told.now_anomalous
    told.read(5.0)
    assert not told.now_anomalous
    told.read(*[5.0] * 10)
    assert (len(told.began), len(told.ended)) == (1, 1)


@pytest.mark.parametrize(
    "readings",
    [
        pytest.param([5.0] * 20 + [90.0, 90.0, 5.0] * 5, id="peaks that do not last"),
        pytest.param([1.0] * 20 + [10.9] * 20, id="far beyond the deviation and not beyond the floor"),
        pytest.param([0.0, 60.0] * 20 + [70.0] * 10, id="beyond the floor and not beyond the deviation"),
        pytest.param([50.0] * 20 + [0.0] * 20, id="less than usual"),
        pytest.param([0.0, 90.0, 90.0, 90.0], id="nothing is known of what is usual yet"),
        pytest.param([100.0] * 60, id="high, and always so"),
    ],
)
def test_nothing_is_told_of(readings: list[float]) -> None:
    told = Told()
    told.read(*readings)

    assert told.began == []


def test_a_flapping_service_is_not_told_again_and_again() -> None:
    told = Told()
    told.read(*[5.0] * 30, *[90.0] * 3)
    told.read(*[90.0, 5.0] * 10)

    assert (len(told.began), len(told.ended)) == (1, 0)


def test_what_stays_becomes_usual() -> None:
    told = Told()
    told.read(*[5.0] * 100, *[90.0] * 200)

    assert len(told.began) == len(told.ended) == 1


def test_the_anomaly_of_a_service_that_falls_asleep_is_over_and_its_baseline_stays() -> None:
    told = Told()
    told.read(*[5.0] * 20, *[90.0] * 3)
    before = told.tracker.baselines("time")
    told.tracker.rest("time")

    assert (len(told.ended), told.now_anomalous) == (1, False)
    assert told.tracker.baselines("time") == before
    told.tracker.rest("time")
    assert len(told.ended) == 1


def test_a_service_that_is_no_longer_there_is_forgotten() -> None:
    told = Told()
    told.read(*[5.0] * 20, *[90.0] * 3)
    told.tracker.keep(["other"])

    assert not told.tracker.baselines("time")
    assert len(told.ended) == 1


@given(st.lists(values, max_size=80), st.integers(1, 5))
def test_every_anomaly_begins_before_it_ends_and_lasts_as_long_as_the_rule_says(
    readings: list[float], in_a_row: int
) -> None:
    rule = Rule(floor=10.0, in_a_row=in_a_row, learned=3)
    watch, baseline, verdicts = Watch(), Baseline(), list[Verdict]()
    for value in readings:
        watch, verdict = judge(watch, value, baseline, rule)
        baseline = rule.learn(baseline, value, WEIGHT)
        verdicts.append(verdict)

    edges = [verdict for verdict in verdicts if verdict in (Verdict.BEGAN, Verdict.ENDED)]
    assert edges == [Verdict.BEGAN, Verdict.ENDED] * (len(edges) // 2) + [Verdict.BEGAN] * (len(edges) % 2)
    at = [place for place, verdict in enumerate(verdicts) if verdict in (Verdict.BEGAN, Verdict.ENDED)]
    assert all(later - earlier >= in_a_row for earlier, later in pairwise(at))
    assert not at or at[0] >= rule.learned


def test_all_that_can_be_told_is_watched_and_nothing_else() -> None:
    use = ResourceUse(1.0, MemoryUse(pss=100, swap=50, compressed=20))

    assert watched(use, Rates(5.0, 1.0, 2.0, None, 4.0)) == {
        Metric.CPU: 5.0,
        Metric.MEMORY: 120.0,
        Metric.DISK: 3.0,
    }


def test_a_baseline_needs_some_readings_before_it_is_relied_upon() -> None:
    baseline = Baseline()
    for _ in range(LEARNED - 1):
        baseline = RULE.learn(baseline, 5.0, WEIGHT)
    watch = Watch()
    for _ in range(3):
        watch, verdict = judge(watch, 1000.0, baseline, RULE)
        assert verdict is Verdict.USUAL
