"""Counters into rates: restarts, lost processes, clocks that stand still, and never an absurd rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_manager.monitor.rates import TICK_S, Meter, Rates, Reading, Run, rates
from service_manager.resources import MemoryUse, ResourceUse

FIRST: Run = (1, 100)
SECOND: Run = (2, 200)


def use(cpu_s: float, disk: int = 0, received: int | None = None) -> ResourceUse:
    return ResourceUse(cpu_s, MemoryUse(1), disk, disk, received, received)


def reading(at: float, cpu_s: float, disk: int = 0, received: int | None = None, run: Run = FIRST) -> Reading:
    return Reading(at, run, use(cpu_s, disk, received))


def test_what_grew_between_two_readings_is_divided_by_their_distance() -> None:
    found = rates(reading(10, 1.0, 100, 50), reading(40, 4.0, 3100, 350), processors=2)

    assert found == Rates(10.0, 100.0, 100.0, 10.0, 10.0)


def test_a_restarted_service_has_used_what_its_new_counters_say() -> None:
    found = rates(reading(10, 500.0, 90_000), reading(40, 3.0, 3000, run=SECOND), processors=2)

    assert (found.cpu_percent, found.disk_read) == (10.0, 100.0)


def test_a_new_run_that_has_used_more_than_the_old_one_is_not_credited_with_the_difference() -> None:
    found = rates(reading(10, 1.0), reading(40, 4.0, run=SECOND), processors=2)

    assert found.cpu_percent == pytest.approx(100 * 4.0 / 30)


def test_a_counter_that_fell_within_one_run_tells_nothing_and_the_others_still_do() -> None:
    found = rates(reading(10, 5.0, 100), reading(40, 4.0, 400), processors=2)

    assert (found.cpu_percent, found.disk_read) == (None, 10.0)


@pytest.mark.parametrize("later", [10.0, 9.0, 10.05])
def test_readings_at_almost_the_same_moment_or_backwards_give_no_rate(later: float) -> None:
    assert rates(reading(10, 1.0, 1), reading(later, 2.0, 2), processors=2) == Rates()


@pytest.mark.parametrize(("cpu_s", "told"), [(60.0, 200.0), (61.0, None)])
def test_no_more_processor_time_than_the_machine_has_is_believed(cpu_s: float, told: float | None) -> None:
    assert rates(reading(0, 0.0), reading(30, cpu_s), processors=2).cpu_percent == told


@pytest.mark.parametrize(("before", "after"), [(None, None), (None, 100), (100, None)])
def test_a_network_that_can_not_be_told_has_no_rate(before: int | None, after: int | None) -> None:
    found = rates(reading(0, 0.0, 0, before), reading(30, 1.0, 0, after), processors=2)

    assert (found.received, found.sent) == (None, None)


def test_a_meter_tells_rates_from_the_second_round_on_and_forgets_who_is_gone() -> None:
    meter = Meter(2)
    assert meter.take({"time": reading(0, 0.0)}) == {"time": Rates()}
    assert meter.take({"time": reading(30, 3.0)})["time"].cpu_percent == 10.0
    assert meter.take({}) == {}
    assert meter.take({"time": reading(90, 9.0)}) == {"time": Rates()}


counters = st.integers(0, 2**62)
readings = st.builds(
    Reading,
    st.floats(0, 1e9, allow_nan=False),
    st.tuples(st.integers(0, 3), st.none() | st.integers(1, 3)),
    st.builds(
        ResourceUse,
        st.floats(0, 1e9, allow_nan=False),
        st.just(MemoryUse(1)),
        counters,
        counters,
        st.none() | counters,
        st.none() | counters,
    ),
)


@given(readings, readings, st.integers(1, 256))
def test_no_rate_is_ever_negative_or_more_than_the_machine_can(
    before: Reading, after: Reading, processors: int
) -> None:
    found = rates(before, after, processors)

    told = (found.cpu_percent, found.disk_read, found.disk_written, found.received, found.sent)
    assert all(rate is None or rate >= 0 for rate in told)
    if found.cpu_percent is not None:
        assert (
            found.cpu_percent * (after.at - before.at)
            <= 100 * processors * (after.at - before.at + TICK_S) + 1
        )


@given(st.lists(st.tuples(st.floats(1, 600), st.floats(0, 1)), min_size=1, max_size=20))
def test_rates_over_a_run_add_up_to_what_it_used(steps: list[tuple[float, float]]) -> None:
    meter, at, cpu_s, added = Meter(1), 0.0, 0.0, 0.0
    meter.take({"a": reading(at, cpu_s)})
    for elapsed, share in steps:
        at, cpu_s = at + elapsed, cpu_s + elapsed * share
        told = meter.take({"a": reading(at, cpu_s)})["a"].cpu_percent
        assert told is not None
        added += told / 100 * elapsed

    assert added == pytest.approx(cpu_s, abs=1e-6)
