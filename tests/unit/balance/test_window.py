"""What a window keeps, forgets and tells, and that it does so in bounded memory."""

from __future__ import annotations

import math
import random
import time
import tracemalloc
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.balance.clock import ManualClock
from tool_router.balance.category_record import MOST_CATEGORIES
from tool_router.balance.histogram import (
    BUCKETS,
    LEAST_MS,
    MOST_MS,
    RELATIVE_ERROR,
    bucket_of,
    empty_counts,
    quantiles,
    value_of,
)
from tool_router.balance.window import PerformanceWindow, Result, WindowSummary, merged

WINDOW_S = 100.0
SLICE_S = 10.0

results = st.sampled_from(Result)
times = st.floats(LEAST_MS, MOST_MS)
moves = st.tuples(
    st.sampled_from(["record", "record", "feedback", "advance"]),
    results,
    st.floats(allow_nan=True),
    st.floats(0, 1),
    st.sampled_from(["", "a", "b"]),
)


@pytest.fixture
def window(clock: ManualClock) -> PerformanceWindow:
    return PerformanceWindow(clock, WINDOW_S, 10)


def exact(values: list[float], q: float) -> float:
    return sorted(values)[max(1, math.ceil(q * len(values))) - 1]


def rates(summary: WindowSummary) -> list[float]:
    return [summary.success_rate, summary.error_rate, summary.timeout_rate, summary.rate_limit_rate]


@given(times)
def test_a_time_is_within_the_bound_of_the_value_of_its_bucket(ms: float) -> None:
    assert abs(value_of(bucket_of(ms)) - ms) <= ms * RELATIVE_ERROR * (1 + 1e-9)


@pytest.mark.parametrize(
    ("ms", "bucket"), [(0.0, 0), (LEAST_MS, 0), (MOST_MS, BUCKETS - 1), (math.inf, BUCKETS - 1)]
)
def test_times_beyond_the_range_fall_into_the_outer_buckets(ms: float, bucket: int) -> None:
    assert bucket_of(ms) == bucket


@given(st.lists(times, min_size=1), st.lists(st.floats(0, 1), min_size=1, max_size=5).map(sorted))
def test_quantiles_are_within_the_bound_of_the_exact_ones(values: list[float], shares: list[float]) -> None:
    counts = empty_counts()
    for value in values:
        counts[bucket_of(value)] += 1

    for share, found in zip(shares, quantiles(counts, shares), strict=True):
        assert found == pytest.approx(exact(values, share), rel=RELATIVE_ERROR * (1 + 1e-6))


@given(st.lists(moves, max_size=60))
def test_whatever_happens_rates_are_shares_and_quantiles_are_in_order(
    happened: list[tuple[str, Result, float, float, str]],
) -> None:
    clock = ManualClock()
    window = PerformanceWindow(clock, WINDOW_S, 10)
    for move, result, ms, share, category in happened:
        if move == "record":
            window.record(result, ms, category)
        elif move == "feedback":
            window.feedback(share, category)
        else:
            clock.advance(share * 2.5 * WINDOW_S)
        summary = window.summary()
        assert all(0 <= rate <= 1 for rate in rates(summary))
        assert sum(rates(summary)) == pytest.approx(1.0 if summary.requests else 0.0)
        ordered = [summary.min_ms, summary.p50_ms, summary.p90_ms, summary.p95_ms, summary.p99_ms]
        assert sorted([*ordered, summary.max_ms]) == [*ordered, summary.max_ms]
        assert summary.min_ms <= summary.mean_ms * (1 + 1e-9)
        assert summary.mean_ms <= summary.max_ms * (1 + 1e-9)
        assert summary.quality is None or 0 <= summary.quality <= 1 + 1e-9
        assert summary.per_minute >= 0
        assert merged([window.snapshot()]) == summary


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=60))
def test_it_holds_what_happened_in_its_time_and_nothing_older(happened: list[tuple[float, bool]]) -> None:
    clock = ManualClock()
    window = PerformanceWindow(clock, WINDOW_S, 10)
    at: list[tuple[float, bool]] = []
    for pause_s, good in happened:
        clock.advance(pause_s)
        window.record(Result.SUCCESS if good else Result.ERROR, 5.0)
        at.append((clock.now, good))
    held = window.summary().requests

    surely = sum(1 for when, _ in at if when > clock.now - WINDOW_S + SLICE_S + 1e-6)
    perhaps = sum(1 for when, _ in at if when > clock.now - WINDOW_S - 1e-6)
    assert surely <= held <= perhaps


def test_an_empty_window_says_nothing(window: PerformanceWindow) -> None:
    summary = window.summary()
    assert summary.quality is None
    assert {value for name, value in asdict(summary).items() if name != "quality"} == {0}
    estimate = window.estimate()
    assert (estimate.requests, estimate.mean_ms, estimate.recent_ms, estimate.recent_success) == (
        0,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("result", "timed"),
    [(Result.SUCCESS, True), (Result.TIMEOUT, True), (Result.ERROR, False), (Result.RATE_LIMITED, False)],
)
def test_only_answers_and_missed_deadlines_have_a_response_time(
    window: PerformanceWindow, result: Result, timed: bool
) -> None:
    window.record(result, 40.0)

    summary = window.summary()
    assert summary.requests == 1
    assert (summary.min_ms, summary.max_ms, summary.p50_ms) == ((40.0,) * 3 if timed else (0.0,) * 3)


def test_each_result_has_its_rate(window: PerformanceWindow) -> None:
    for result, times_seen in zip(Result, (5, 3, 1, 1), strict=True):
        for _ in range(times_seen):
            window.record(result, 1.0)

    assert rates(window.summary()) == [0.5, 0.3, 0.1, 0.1]


def test_the_pace_is_the_count_so_far_in_the_first_minute_and_a_mean_afterwards(
    clock: ManualClock, window: PerformanceWindow
) -> None:
    for _ in range(30):
        window.record(Result.SUCCESS, 1.0)
    assert window.summary().per_minute == 30
    clock.advance(90)
    assert window.summary().per_minute == pytest.approx(20)


def test_quality_is_the_mean_of_the_feedback(window: PerformanceWindow) -> None:
    window.feedback(1.0)
    window.feedback(0.5)

    assert (window.summary().quality, window.summary().rated) == (0.75, 2)


@pytest.mark.parametrize("quality", [-0.01, 1.01, math.nan])
def test_feedback_out_of_range_is_refused(window: PerformanceWindow, quality: float) -> None:
    with pytest.raises(ValueError, match="quality"):
        window.feedback(quality)


@pytest.mark.parametrize(("window_s", "slices"), [(0.0, 10), (-1.0, 10), (math.inf, 10), (10.0, 1)])
def test_a_window_without_time_or_steps_is_refused(clock: ManualClock, window_s: float, slices: int) -> None:
    with pytest.raises(ValueError, match="window_s"):
        PerformanceWindow(clock, window_s, slices)


def test_the_recent_average_follows_a_change_long_before_the_window_does(
    clock: ManualClock, window: PerformanceWindow
) -> None:
    for ms in [10.0] * 200 + [100.0] * 20:
        clock.advance(0.05)
        window.record(Result.SUCCESS, ms)

    estimate = window.estimate()
    assert estimate.mean_ms == pytest.approx(18.2, rel=0.01)
    assert estimate.recent_ms is not None
    assert estimate.recent_ms > 80


def test_after_a_pause_the_next_outcome_counts_for_most_of_the_recent_average(
    clock: ManualClock, window: PerformanceWindow
) -> None:
    window.record(Result.ERROR, 1.0)
    clock.advance(90)
    window.record(Result.SUCCESS, 1.0)

    assert window.estimate().recent_success == pytest.approx(0.9)


def test_reset_forgets_everything(clock: ManualClock, window: PerformanceWindow) -> None:
    window.record(Result.ERROR, 5.0, "web")
    window.feedback(0.1, "web")
    window.adopt([window.snapshot()])

    window.reset()

    assert window.summary() == PerformanceWindow(clock, WINDOW_S).summary()
    assert window.category("web") is None
    assert window.lifetime().requests == 0


def test_a_category_has_its_own_record_which_fades(clock: ManualClock, window: PerformanceWindow) -> None:
    window.record(Result.SUCCESS, 30.0, "web")
    window.record(Result.ERROR, 1.0, "data")
    window.feedback(0.8, "web")

    record = window.category("web")
    assert record is not None
    assert (record.calls, record.succeeded, record.latency_ms, record.quality) == (1, 1, 30, 0.8)
    clock.advance(WINDOW_S / 2)
    record = window.category("web")
    assert record is not None
    assert (record.calls, record.latency_ms) == (0.5, 15)


def test_the_category_that_was_used_least_recently_is_forgotten_first(window: PerformanceWindow) -> None:
    for number in range(MOST_CATEGORIES):
        window.record(Result.SUCCESS, 1.0, f"c{number}")
    window.record(Result.SUCCESS, 1.0, "c0")
    window.record(Result.SUCCESS, 1.0, "new")

    assert window.category("c1") is None
    assert window.category("c0") is not None
    assert window.category("new") is not None


def filled(clock: ManualClock, seed: int, calls: int = 500) -> PerformanceWindow:
    draw = random.Random(seed)
    window = PerformanceWindow(clock, WINDOW_S)
    for _ in range(calls):
        window.record(draw.choice(list(Result)), draw.lognormvariate(3, 1))
        window.feedback(draw.random())
    return window


def test_windows_of_two_routers_add_up_to_the_window_of_one_that_saw_both(clock: ManualClock) -> None:
    one, other = filled(clock, 1), filled(clock, 2)
    both = filled(clock, 1)
    draw = random.Random(2)
    for _ in range(500):
        both.record(draw.choice(list(Result)), draw.lognormvariate(3, 1))
        both.feedback(draw.random())

    added = merged([one.snapshot(), other.snapshot()])

    expected = both.summary()
    assert added.requests == expected.requests
    assert (added.p50_ms, added.p99_ms, added.min_ms) == (expected.p50_ms, expected.p99_ms, expected.min_ms)
    assert added.mean_ms == pytest.approx(expected.mean_ms)
    assert added.per_minute == pytest.approx(expected.per_minute)
    one.adopt([other.snapshot()])
    assert one.summary().mean_ms == pytest.approx(expected.mean_ms)
    assert one.summary().requests == one.estimate().requests == expected.requests


def test_what_others_told_is_replaced_not_added_and_is_not_told_on(clock: ManualClock) -> None:
    one, other = filled(clock, 1), filled(clock, 2, 100)
    own = one.snapshot()

    one.adopt([other.snapshot()])
    one.adopt([other.snapshot()])

    assert one.summary().requests == 600
    assert one.snapshot() == own
    assert one.lifetime().requests == 500


def test_what_others_told_is_forgotten_when_they_fall_silent(clock: ManualClock) -> None:
    one = PerformanceWindow(clock, WINDOW_S)
    one.adopt([filled(clock, 2).snapshot()])
    clock.advance(WINDOW_S - 0.001)
    assert one.summary().requests == 500
    clock.advance(0.001)
    assert one.summary().requests == one.estimate().requests == 0


def test_a_snapshot_that_cannot_be_read_is_left_out(clock: ManualClock) -> None:
    one, good = PerformanceWindow(clock), filled(clock, 2).snapshot()

    assert one.adopt([b"", b"tw0", good[:-1], good]) == 1
    assert one.summary().requests == 500
    with pytest.raises(ValueError, match="window"):
        merged([good, b"tw1"])


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_damaged_snapshot_is_refused_or_still_makes_sense(at: int, flip: int) -> None:
    data = bytearray(filled(ManualClock(), 3, 50).snapshot())
    data[at % len(data)] ^= flip
    try:
        summary = merged([bytes(data)])
    except ValueError:
        return
    assert all(0 <= rate <= 1 for rate in rates(summary))
    assert summary.min_ms <= summary.p50_ms <= summary.max_ms <= MOST_MS


def test_a_snapshot_whose_counts_contradict_each_other_is_refused(clock: ManualClock) -> None:
    data = bytearray(filled(clock, 3, 50).snapshot())
    # The last count, of four bytes, is that of the slowest bucket.
    data[-4] += 1
    with pytest.raises(ValueError, match="contradict"):
        merged([bytes(data)])


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="window"):
        merged([b"tw1" + data])


def test_more_calls_than_two_bytes_count_in_one_bucket_are_all_counted(window: PerformanceWindow) -> None:
    for _ in range(70_000):
        window.record(Result.SUCCESS, 7.0)
    window.record(Result.SUCCESS, 900.0)

    summary = window.summary()
    assert (summary.requests, summary.p50_ms, summary.max_ms) == (70_001, pytest.approx(7.0, rel=0.05), 900)
    assert merged([window.snapshot()]).requests == 70_001


def test_a_hundred_thousand_requests_of_history_take_about_ten_kilobytes(clock: ManualClock) -> None:
    draw = random.Random(1)
    outcomes = [(draw.choice(list(Result)), draw.lognormvariate(4, 2)) for _ in range(1000)]
    names = [f"category-{number}" for number in range(40)]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        window = PerformanceWindow(clock, WINDOW_S)
        for number in range(100_000):
            clock.advance(0.0009)
            result, ms = outcomes[number % 1000]
            window.record(result, ms, names[number % 40])
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert window.summary().requests > 95_000
    assert after - before < 15_000
    assert len(window.snapshot()) < 1024


def test_recording_costs_microseconds_whatever_the_history(clock: ManualClock) -> None:
    window = filled(clock, 1, 20_000)
    taken: list[float] = []
    for _ in range(2000):
        started = time.perf_counter()
        window.record(Result.SUCCESS, 40.0, "web")
        taken.append(time.perf_counter() - started)

    # The figure is 20 µs; a busy machine gets some slack.
    assert sorted(taken)[1000] < 60e-6
