"""Which task comes after which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_router.learning.outcome import Outcome, Verdict
from tool_router.learning.successors import HALF_LIFE_S, WINDOW_S, Successors

MINUTE_S = 60.0


def after(
    *tasks: str, gap_s: float = MINUTE_S, start: float = 0.0, into: Successors | None = None
) -> Successors:
    found = Successors() if into is None else into
    for number, task in enumerate(tasks):
        found.observe(task, start + number * gap_s)
    return found


def first(successors: Successors, task: str, now: float = 1_000.0) -> str:
    return successors.likely(task, now, 1)[0][0]


def test_what_followed_before_is_likeliest_to_follow_again() -> None:
    found = after("pull", "test", "commit", "lunch", "pull", "test", "mail", "pull", "test", "commit")
    assert first(found, "pull") == "test"
    assert first(found, "test") == "commit"
    assert first(found, "  pull ") == "test"


def test_chances_are_probabilities() -> None:
    found = after("a", "b", "a", "c", "a", "b")
    chances = found.likely("z", 400.0, 10)
    assert sum(chance for _, chance in chances) == pytest.approx(1.0)
    assert [chance for _, chance in chances] == sorted((chance for _, chance in chances), reverse=True)


def test_after_an_unknown_task_the_frequent_ones_are_likely() -> None:
    assert first(after("a", "b", "a", "c", "a"), "never seen") == "a"


def test_a_task_is_not_its_own_follower() -> None:
    found = after("a", "a", "a", "b")
    assert [task for task, _ in found.likely("a", 300.0, 5)] == ["b"]


def test_what_comes_much_later_does_not_follow() -> None:
    together = after("a", "b", gap_s=WINDOW_S, into=after("c", "c", "c", start=-9e9))
    apart = after("a", "b", gap_s=WINDOW_S + 1, into=after("c", "c", "c", start=-9e9))
    assert dict(together.likely("a", 0.0, 5))["b"] > dict(apart.likely("a", 0.0, 5))["b"]


def test_habits_fade() -> None:
    found = after(*["a", "old"] * 3)
    after("a", "new", "a", "new", start=6 * HALF_LIFE_S, into=found)
    assert first(found, "a", 6 * HALF_LIFE_S + 300) == "new"


def test_nothing_is_likely_before_anything_was_seen() -> None:
    assert Successors().likely("a", 0.0, 5) == []


def test_a_history_may_come_in_any_order() -> None:
    outcomes = [
        Outcome(str(at), at * MINUTE_S, "gateway", task, "", "tool", Verdict.SUCCEEDED)
        for at, task in enumerate(["pull", "test", "commit", "pull", "test"])
    ]
    found = Successors()
    found.learn(reversed(outcomes))
    assert first(found, "pull") == "test"


@given(st.lists(st.sampled_from("abcdefghij"), max_size=200))
def test_memory_stays_bounded_whatever_comes(tasks: list[str]) -> None:
    found = after(*tasks, into=Successors(tasks=4, followers=2))
    assert len(found) <= 4
    for task in "abcdefghij":
        likely = found.likely(task, 1e5, 3)
        assert len(likely) <= 3
        assert all(0 <= chance <= 1 for _, chance in likely)


def test_the_lightest_task_is_forgotten_first() -> None:
    found = after("often", "often", "often", "once", "new", into=Successors(tasks=2))
    assert {task for task, _ in found.likely("z", 300.0, 5)} == {"often", "new"}
