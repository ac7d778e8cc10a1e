from __future__ import annotations

import math
from typing import Any

import pytest

from tests.unit.catalog.samples import a_tool
from tool_router.ai.judge_answer import judgement, read_scores
from tool_router.ai.judge_prompt import MOST_TOOLS, ballot
from tool_router.errors import ProviderError

BALLOT = ballot("a task", "", [a_tool("one"), a_tool("two")])


def test_probabilities_come_back_in_the_order_of_the_tools() -> None:
    by_label = {BALLOT.labels[0]: 0.7, BALLOT.labels[1]: 0.2, BALLOT.labels[2]: 0.1}
    found = judgement(BALLOT, by_label, 2)
    assert found.probabilities is not None
    assert found.probabilities[BALLOT.order[0]] == 0.7
    assert found.probabilities[BALLOT.order[1]] == 0.2
    assert found.none_fits == 0.1
    assert found.reason == ""


def test_a_tool_that_was_not_on_the_ballot_has_no_probability() -> None:
    tools = [a_tool(f"t{number}") for number in range(MOST_TOOLS + 3)]
    asked = ballot("task", "", tools)
    found = judgement(asked, dict.fromkeys(asked.labels, 1 / len(asked.labels)), len(tools))
    assert found.probabilities is not None
    assert found.probabilities[-3:] == (0.0, 0.0, 0.0)


def test_scores_are_made_to_sum_to_one_also_when_they_are_percent() -> None:
    assert read_scores(BALLOT, {"A": 0.6, "B": 0.2, "C": 0.0}) == {
        "A": pytest.approx(0.75),
        "B": pytest.approx(0.25),
        "C": 0.0,
    }
    assert read_scores(BALLOT, {"A": 90, "B": 10})["A"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"A": 0.1, "delete_everything": 0.9}, "'delete_everything', which was not offered"),
        ({"A": 0.1, "Z": 0.9}, "'Z', which was not offered"),
        ({"A": math.nan, "B": 0.5}, "no probabilities"),
        ({"A": math.inf}, "no probabilities"),
        ({"A": 10**400}, "no probabilities"),
        ({"A": "0.9"}, "no numbers"),
        ({"A": True}, "no numbers"),
        ({"A": None}, "no numbers"),
        ({"A": -0.5, "B": 1.0}, "no probabilities"),
        ({"A": 5000}, "no probabilities"),
        ({"A": 0, "B": 0, "C": 0}, "scored nothing"),
        ({}, "scored nothing"),
        (["A"], "no JSON object"),
        ("A", "no JSON object"),
        (None, "no JSON object"),
    ],
)
def test_scores_that_answer_another_question_are_malformed(answer: Any, said: str) -> None:
    with pytest.raises(ProviderError, match=said) as caught:
        read_scores(BALLOT, answer)
    assert caught.value.reason == "malformed"
