"""Which pages stay in memory: those that came back, as far as there is room, the newest first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service_manager.linux.hotset import GENERATIONS, HotSet
from service_manager.linux.ranges import Ranges, minus, size, union

SHARE = 0.35


def learned(total: int, *presents: Ranges) -> HotSet:
    hot = HotSet(share=SHARE).seen(total)
    for present in presents:
        hot = hot.learn(present)
    return hot


def test_what_came_back_is_kept() -> None:
    assert learned(1000, ((10, 20), (40, 50))).ranges == ((10, 20), (40, 50))


def test_at_first_what_is_left_of_the_room_is_filled_with_what_nobody_knows_and_it_goes_first() -> None:
    hot = learned(100).learn(((0, 10),), ((20, 90),))
    assert hot.ranges == ((0, 10), (20, 45))
    assert hot.learn(((0, 10), (20, 45), (60, 70))).ranges == ((0, 10), (20, 35), (60, 70))
    assert learned(100, ((0, 10),)).learn(((0, 10),), ((20, 90),)).ranges == ((0, 10),)


def test_what_is_known_to_be_needed_never_leaves_for_what_is_not() -> None:
    hot = learned(100).learn(((80, 90),), ((0, 80),))
    for cycle in range(2 * GENERATIONS):
        hot = hot.learn(union((*hot.ranges, (40 + cycle, 41 + cycle))))
        assert not minus(((80, 90),), hot.ranges)


def test_what_stays_anyway_takes_up_room() -> None:
    assert HotSet(SHARE, stays=30).seen(100).learn(((0, 50),)).ranges == ((0, 5),)
    assert HotSet(SHARE, stays=40).seen(100).learn(((0, 50),)).ranges == ()


def test_what_was_kept_and_is_not_in_memory_any_more_is_forgotten() -> None:
    assert learned(1000, ((10, 20), (40, 50)), ((10, 20),)).ranges == ((10, 20),)


def test_the_newest_stay_when_there_is_no_room_for_all() -> None:
    hot = learned(100, ((0, 30),), ((0, 60),))
    assert hot.ranges == ((0, 5), (30, 60))


def test_a_wake_that_needed_nothing_new_forgets_nothing() -> None:
    assert learned(1000, ((10, 20),), *[((10, 20),)] * 20).ranges == ((10, 20),)


def test_wakes_that_needed_nothing_make_nothing_older() -> None:
    hot = learned(100, ((0, 20),), ((0, 30),), *[((0, 30),)] * (2 * GENERATIONS), ((0, 30), (50, 60)))
    assert hot.ranges == ((0, 15), (20, 30), (50, 60))


def test_what_is_too_old_to_be_told_apart_goes_first() -> None:
    hot = learned(100, *[((0, 4 * cycle),) for cycle in range(1, GENERATIONS + 3)])
    assert size(hot.ranges) == 35
    assert not minus(((3 * 4, 10 * 4),), hot.ranges)


def test_the_room_is_a_share_of_the_most_the_process_ever_had() -> None:
    hot = HotSet(share=SHARE).seen(1000).seen(100).learn(((0, 900),))
    assert size(hot.ranges) == int(1000 * SHARE)


def test_pages_stay_or_go_as_a_whole() -> None:
    hot = HotSet(share=SHARE, page=8).seen(100).learn(((0, 16), (40, 80)))
    assert hot.ranges == ((0, 16), (40, 56))


@given(st.lists(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), max_size=4), max_size=12))
def test_it_never_holds_too_much_nor_anything_twice_nor_what_is_not_there(
    cycles: list[list[tuple[int, int]]],
) -> None:
    hot = HotSet(share=SHARE).seen(120)
    for cycle in cycles:
        present = union((start, start + length) for start, length in cycle)
        hot = hot.learn(present, minus(((0, 120),), present))
        assert size(hot.ranges) <= 120 * SHARE
        assert size(hot.ranges) == sum(map(size, (*hot.generations, hot.spare)))
        assert len(hot.generations) <= GENERATIONS
        assert not minus(union(span for kept in hot.generations for span in kept), present)
