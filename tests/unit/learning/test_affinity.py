"""What outcomes of similar tasks say about tools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_router.learning.affinity import HALF_LIFE_S, AffinityIndex, TaskView
from tool_router.learning.outcome import Outcome, Verdict
from tool_router.learning.task_words import task_words

NOW = 1_000_000.0


def view(task: str, category: str = "", vector: list[float] | None = None) -> TaskView:
    return TaskView(task_words(task), category, None if vector is None else np.array(vector, np.float32))


def outcome(
    id_: str, task: str, tool: str, verdict: Verdict = Verdict.GOOD, at: float = NOW, category: str = ""
) -> Outcome:
    return Outcome(id_, at, "gateway", task, category, tool, verdict)


def remembering(*outcomes: Outcome) -> AffinityIndex:
    index = AffinityIndex()
    for item in outcomes:
        index.add(item, view(item.task, item.category))
    return index


def test_the_tool_that_did_a_similar_task_well_is_lifted() -> None:
    index = remembering(outcome("1", "book a table at a restaurant", "dining"))
    assert index.affinities(view("book a restaurant table"), NOW)["dining"] > 0.3


def test_the_tool_that_failed_at_a_similar_task_is_lowered() -> None:
    index = remembering(outcome("1", "book a table at a restaurant", "hotels", Verdict.BAD))
    assert index.affinities(view("book a restaurant table"), NOW)["hotels"] < -0.3


def test_a_popular_tool_gains_nothing_for_a_task_unlike_those_it_did() -> None:
    index = remembering(*(outcome(str(n), "book a table at a restaurant", "dining") for n in range(50)))
    assert index.affinities(view("translate this letter into French"), NOW) == {}


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [(Verdict.GOOD, Verdict.SUCCEEDED), (Verdict.FAILED, Verdict.REPLACED), (Verdict.REPLACED, Verdict.BAD)],
)
def test_verdicts_count_by_their_evidence(stronger: Verdict, weaker: Verdict) -> None:
    task = "book a table"
    lifts = [
        remembering(outcome("1", task, "dining", verdict)).affinities(view(task), NOW)["dining"]
        for verdict in (stronger, weaker)
    ]
    assert lifts[0] > lifts[1]


def test_an_old_outcome_counts_less_than_a_fresh_one_that_contradicts_it() -> None:
    index = remembering(
        outcome("1", "book a table", "old", at=NOW - 5 * HALF_LIFE_S), outcome("2", "book a table", "new")
    )
    lifts = index.affinities(view("book a table"), NOW)
    assert lifts["new"] > 5 * lifts["old"] > 0


def test_an_outcome_of_another_category_counts_less() -> None:
    index = remembering(
        outcome("1", "review the diff", "a", category="coding"),
        outcome("2", "review the diff", "b", category="web"),
    )
    lifts = index.affinities(view("review the diff", "coding"), NOW)
    assert lifts["a"] > lifts["b"]


def test_a_later_verdict_replaces_the_first() -> None:
    index = remembering(outcome("1", "book a table", "dining", Verdict.SUCCEEDED))
    assert index.judge("1", Verdict.BAD)
    assert index.verdict("1") is Verdict.BAD
    assert index.affinities(view("book a table"), NOW)["dining"] < 0
    assert not index.judge("unknown", Verdict.GOOD)


def test_vectors_find_a_task_said_in_other_words() -> None:
    index = AffinityIndex()
    index.add(outcome("1", "reserve dinner for two", "dining"), view("reserve dinner for two", vector=[1, 0]))
    assert index.affinities(view("book a table"), NOW) == {}
    assert index.affinities(view("book a table", vector=[1, 0]), NOW)["dining"] > 0.3
    assert index.affinities(view("book a table", vector=[0, 1]), NOW) == {}


def test_vectors_of_another_model_are_not_compared() -> None:
    index = AffinityIndex()
    index.add(outcome("1", "book a table", "dining"), view("book a table", vector=[1, 0]))
    assert index.affinities(view("book a table", vector=[1, 0, 0]), NOW)["dining"] > 0.3
    index.add(outcome("2", "book a room", "hotel"), view("book a room", vector=[0, 1, 0]))
    assert "dining" in index.affinities(view("book a table", vector=[1, 0, 0]), NOW)


def test_the_oldest_are_forgotten_beyond_the_bound() -> None:
    index = AffinityIndex(capacity=3)
    for number in range(5):
        index.add(outcome(str(number), f"task number{number}", f"tool{number}"), view(f"task number{number}"))
    assert len(index) == 3
    assert [index.verdict(str(number)) is not None for number in range(5)] == [False, False, True, True, True]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcde"), st.sampled_from(["x y", "y z", "z"]), st.sampled_from(Verdict)),
        max_size=40,
    )
)
def test_affinities_stay_between_minus_one_and_one(items: list[tuple[str, str, Verdict]]) -> None:
    index = AffinityIndex(capacity=7)
    for tool, task, verdict in items:
        index.add(outcome(f"{tool}{task}", task, tool, verdict), view(task))
    assert len(index) <= 7
    assert all(-1 <= lift <= 1 for lift in index.affinities(view("x y z"), NOW).values())


def test_the_revision_tells_verdicts_apart_and_not_their_order() -> None:
    good, bad = outcome("1", "x", "a"), outcome("2", "y", "b", Verdict.BAD)
    assert remembering(good, bad).revision == remembering(bad, good).revision
    assert remembering(good).revision != remembering(bad).revision
    plain = outcome("3", "z", "c", Verdict.SUCCEEDED)
    assert remembering(good, plain).revision == remembering(good).revision


def test_what_is_forgotten_leaves_the_revision() -> None:
    index = AffinityIndex(capacity=1)
    index.add(outcome("1", "x", "a"), view("x"))
    index.add(outcome("2", "y", "b", Verdict.BAD), view("y"))
    assert index.revision == remembering(outcome("2", "y", "b", Verdict.BAD)).revision
