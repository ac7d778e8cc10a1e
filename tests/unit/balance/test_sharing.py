"""What a router tells others, what it makes of what they tell, and that it counts in a strategy's load."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.balance.clock import ManualClock
from tests.unit.balance.targets import ANY, alike, seeded, targets_of
from tests.unit.balance.test_lessons import START, Class
from tool_router.balance.admission import Admission
from tool_router.balance.breaker import BreakerSettings
from tool_router.balance.choice import decide
from tool_router.balance.outcome import CallKeys
from tool_router.balance.pool import Pool
from tool_router.balance.selecting import Selecting
from tool_router.balance.sharing import (
    MOST_BYTES,
    MOST_HOLD_S,
    MOST_IN_FLIGHT,
    MOST_OPENINGS,
    Followed,
    Heard,
    Hold,
    Opening,
    Openings,
    Release,
    Report,
    Turns,
    added_up,
    from_bytes,
    to_bytes,
)
from tool_router.balance.target_state import TargetSpec
from tool_router.errors import GatewayUnreachable

KEY = "target:a"
NAMES = st.text(max_size=20)


def telling(number: int, left_s: float = 30.0, key: str = KEY, age_s: float = 0.0) -> Heard:
    return Heard(Report({}, {key: Opening(number, left_s)}), age_s)


SILENT_ABOUT_IT = Heard(Report({}, {}), 0.0)


def test_a_report_is_read_as_it_was_told() -> None:
    report = Report({"a": 3, "é": 1}, {"target:a": Opening(7, 12.345), "tool:t::x@a": Opening(8, 0.0)})
    assert from_bytes(to_bytes(report)) == report


@given(st.dictionaries(NAMES, st.integers(0, MOST_IN_FLIGHT)), st.dictionaries(NAMES, st.integers(0, 2**63)))
def test_every_report_with_sound_names_survives_the_way(
    in_flight: dict[str, int], open_: dict[str, int]
) -> None:
    report = Report(in_flight, {key: Opening(number, 1.5) for key, number in open_.items()})
    assert from_bytes(to_bytes(report)) == report


def form(**changes: object) -> bytes:
    value: dict[str, Any] = {"v": 1, "in_flight": {"a": 1}, "open": {"k": [1, 2.0]}}
    return json.dumps(value | changes).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[1]",
        b"[" * 100_000,
        form(v=2),
        form(v="1"),
        form(in_flight=None),
        form(in_flight={"a": -1}),
        form(in_flight={"a": True}),
        form(in_flight={"a": 1.5}),
        form(in_flight={"a": MOST_IN_FLIGHT + 1}),
        form(open=[]),
        form(open={"k": 1}),
        form(open={"k": [1]}),
        form(open={"k": [-1, 1.0]}),
        form(open={"k": [1, -0.1]}),
        form(open={"k": [1, True]}),
        form(open={"k": [1, "2"]}),
        form(open={"k": [1, math.nan]}),
        form(open={"k": [1, math.inf]}),
        form(open={str(number): [number, 1.0] for number in range(MOST_OPENINGS + 1)}),
        form(in_flight={"a" * MOST_BYTES: 1}),
    ],
)
def test_what_is_no_report_of_this_version_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        from_bytes(data)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for tried in (data, form()[: len(data)] + data):
        try:
            from_bytes(tried)
        except ValueError:
            continue


def test_a_hold_beyond_reason_is_cut_short() -> None:
    assert from_bytes(form(open={"k": [1, 1e12]})).openings["k"].left_s == MOST_HOLD_S


def test_calls_under_way_are_added_up_by_target() -> None:
    reports = (Report({"a": 1, "b": 2}, {}), Report({"b": 3, "c": 4}, {}))
    assert added_up(reports) == {"a": 1, "b": 5, "c": 4}


def test_an_opening_is_followed_once_for_what_is_left_of_it() -> None:
    followed = Followed()
    assert followed.hear({"r": telling(1, 30.0, age_s=0.5)}, 100.0) == [Hold(KEY, 29.5)]
    assert followed.hear({"r": telling(1, 28.5)}, 101.0) == []
    # Its own clock runs slow: it tells of the opening for longer than it was told first.
    assert followed.hear({"r": telling(1, 1.0)}, 130.0) == []
    assert followed.hear({"r": SILENT_ABOUT_IT}, 131.0) == []


def test_an_opening_that_was_over_when_it_was_heard_is_not_followed_later() -> None:
    followed = Followed()
    assert followed.hear({"r": telling(1, 2.0, age_s=3.0)}, 100.0) == []
    assert followed.hear({"r": telling(1, 2.0)}, 100.5) == []


def test_a_breaker_that_opens_again_is_followed_again() -> None:
    followed = Followed()
    followed.hear({"r": telling(1)}, 100.0)
    assert followed.hear({"r": telling(2)}, 131.0) == [Hold(KEY, 30.0)]


def test_a_breaker_that_closed_early_is_let_go() -> None:
    followed = Followed()
    followed.hear({"r": telling(1)}, 100.0)
    assert followed.hear({"r": SILENT_ABOUT_IT}, 110.0) == [Release(KEY, 0.0)]
    assert followed.hear({"r": SILENT_ABOUT_IT}, 111.0) == []


def test_a_silent_router_lets_nothing_go() -> None:
    followed = Followed()
    followed.hear({"r": telling(1)}, 100.0)
    assert followed.hear({}, 110.0) == []
    assert followed.hear({"r": telling(1, 15.0)}, 115.0) == []
    assert followed.hear({"r": SILENT_ABOUT_IT}, 120.0) == [Release(KEY, 0.0)]


def test_a_key_that_several_hold_is_held_until_the_last_of_them() -> None:
    followed = Followed()
    followed.hear({"r": telling(1, 30.0)}, 100.0)
    assert followed.hear({"r": telling(1), "s": telling(4, 25.0)}, 100.0) == [Hold(KEY, 25.0)]
    assert followed.hear({"r": SILENT_ABOUT_IT, "s": telling(4)}, 110.0) == [Release(KEY, 15.0)]
    # The shorter of two may go without a word.
    followed.hear({"t": telling(2, 30.0)}, 110.0)
    assert followed.hear({"t": telling(2), "s": SILENT_ABOUT_IT}, 111.0) == []


def test_the_same_key_elsewhere_and_the_same_number_are_told_apart() -> None:
    followed = Followed()
    followed.hear({"r": telling(1)}, 100.0)
    assert followed.hear({"r": telling(1, key="tool:x")}, 101.0) == [
        Release(KEY, 0.0),
        Hold("tool:x", 30.0),
    ]


def opened(admission: Admission, key: str, times: int = 1) -> None:
    keys = CallKeys({"target": key})
    for _ in range(times):
        admission.failed(keys, admission.admit(keys), GatewayUnreachable("refused"))


def told(openings: Openings, admission: Admission) -> dict[str, tuple[int, float]]:
    current = openings.current(admission.states(), admission.waits())
    return {key: (one.number, one.left_s) for key, one in current.items()}


def test_openings_are_numbered_and_told_as_long_as_they_last(clock: ManualClock) -> None:
    openings, admission = Openings(), Admission(BreakerSettings(failure_threshold=1), clock)
    admission.listen(openings.moved)
    opened(admission, "target:a")
    clock.advance(10)
    opened(admission, "target:b")
    assert told(openings, admission) == {"target:a": (1, 20.0), "target:b": (2, 30.0)}
    clock.advance(20)
    assert told(openings, admission) == {"target:b": (2, 10.0)}
    opened(admission, "target:a")
    assert told(openings, admission) == {"target:b": (2, 10.0), "target:a": (3, 30.0)}
    admission.reset()
    assert told(openings, admission) == {}


def test_a_breaker_that_rests_for_others_is_not_told_as_open(clock: ManualClock) -> None:
    openings, admission = Openings(), Admission(BreakerSettings(), clock)
    admission.listen(openings.moved)
    admission.hold("target:a", 30.0)
    assert told(openings, admission) == {}


def test_a_breaker_that_only_rests_after_its_time_is_not_told_as_open(clock: ManualClock) -> None:
    openings, admission = Openings(), Admission(BreakerSettings(failure_threshold=1), clock)
    admission.listen(openings.moved)
    opened(admission, "target:a")
    admission.rest("target:a", 90.0)
    clock.advance(30)
    assert told(openings, admission) == {}


def test_the_openings_that_are_told_are_bounded_and_stay_the_same(clock: ManualClock) -> None:
    openings, admission = Openings(), Admission(BreakerSettings(failure_threshold=1), clock)
    admission.listen(openings.moved)
    for number in range(MOST_OPENINGS + 10):
        opened(admission, f"tool:{number}")
    assert set(told(openings, admission)) == {f"tool:{number}" for number in range(MOST_OPENINGS)}


@pytest.mark.parametrize(("count", "most"), [(0, 3), (2, 3), (3, 3), (10, 3), (64, 1), (7, 6)])
def test_everything_has_its_turn(count: int, most: int) -> None:
    turns, items = Turns(), list(range(count))
    rounds = [turns.take(items, most) for _ in range(-(-count // most) or 1)]
    assert all(len(set(one)) == len(one) <= most for one in rounds)
    assert {item for one in rounds for item in one} == set(items)


def test_a_list_that_shrinks_meanwhile_is_taken_on_from_somewhere() -> None:
    turns = Turns()
    turns.take(range(100), 60)
    assert sorted(turns.take(range(10), 9)) == sorted(set(range(10)) - {9})


LOAD_COUNTS = (
    "least_loaded",
    "power_of_two",
    "performance",
    "affinity",
    "geo",
    "model",
    "hybrid",
    "adaptive",
)


@pytest.mark.parametrize("name", LOAD_COUNTS)
def test_calls_under_way_elsewhere_load_a_target(clock: ManualClock, name: str) -> None:
    one, other = alike(clock, 2)
    one.in_flight_elsewhere, other.in_flight = 40, 2
    strategy = seeded(name)
    chosen = [strategy.choose((one, other), ANY) for _ in range(200)]
    # Two that draw among equals take the same one twice in a quarter of all cases; two explore now and then.
    most = {"performance": 70, "affinity": 70, "hybrid": 15, "adaptive": 15}.get(name, 0)
    assert chosen.count(0) <= most
    weighed = strategy.weigh((one, other), ANY).targets
    assert weighed[0].load == pytest.approx(20 * weighed[1].load)


@pytest.mark.parametrize("name", ["least_loaded", "power_of_two", "hybrid"])
def test_it_makes_no_difference_where_calls_are_under_way(clock: ManualClock, name: str) -> None:
    here, there = alike(clock, 3), alike(clock, 3)
    for at, (one, other) in enumerate(zip(here, there, strict=True)):
        one.in_flight = other.in_flight_elsewhere = 30 * at
    first, second = seeded(name), seeded(name)
    for _ in range(100):
        assert first.choose(here, ANY) == second.choose(there, ANY)
    # Beyond what targets without a capacity are taken to bear, so that what they bear grows with them.
    assert first.weigh(here, ANY) == second.weigh(there, ANY)
    explained = decide(second, there, ANY).explain()
    assert explained.load_after > explained.load_before >= 0


def test_load_elsewhere_is_learned_from_as_well(clock: ManualClock) -> None:
    def load_after_a_lesson(field: str) -> float:
        taught = Class(clock)
        for target, calls in zip(taught.targets, (0, 9, 0), strict=True):
            setattr(target, field, calls)
        taught.lesson((50.0, 400.0, 50.0))
        return taught.lessons.weights["load"]

    assert load_after_a_lesson("in_flight_elsewhere") == pytest.approx(load_after_a_lesson("in_flight"))
    assert load_after_a_lesson("in_flight_elsewhere") > START["load"]


def test_calls_under_way_elsewhere_take_up_no_place_here(clock: ManualClock) -> None:
    pool = Pool[str](Selecting("least_loaded"), clock=clock)
    member = pool.add(TargetSpec("a", capacity=2), "a")
    member.state.in_flight_elsewhere = 50
    assert not member.full
    assert pool.choose(lambda name: True, ANY) is member


def test_a_load_beyond_the_capacity_is_explained_as_such(clock: ManualClock) -> None:
    one, other = targets_of(clock, TargetSpec("a", capacity=10), TargetSpec("b", capacity=10))
    one.in_flight_elsewhere, other.in_flight_elsewhere = 15, 25
    explained = decide(seeded("least_loaded"), (one, other), ANY).explain()
    assert (explained.target, explained.load_before) == ("a", 1.5)
