"""Rankings: order, affinity, and the probabilities that come with them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.scoring.catalogs import OFFICE
from tool_router.scoring.keyword import KeywordIndex
from tool_router.scoring.rank import order_of, rank
from tool_router.scoring.ranking import Rung

INDEX = KeywordIndex.build(OFFICE)
TASK = "list the issues of the repository"


def test_candidates_come_best_first_and_no_more_than_asked_for() -> None:
    ranking = rank(OFFICE, INDEX, TASK, limit=3)
    scores = [candidate.score for candidate in ranking.candidates]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3
    assert ranking.candidates[0].tool.name == "list_issues"
    assert ranking.margin == scores[0] - scores[1]


def test_only_the_given_tools_are_ranked() -> None:
    ranking = rank(OFFICE, INDEX, TASK, subset=[3, 4])
    assert {candidate.tool.name for candidate in ranking.candidates} == {
        "send_message",
        "get_current_weather",
    }


def test_relevance_can_put_another_tool_first() -> None:
    cosines = np.zeros(len(OFFICE), np.float32)
    cosines[4] = 0.9
    ranking = rank(OFFICE, INDEX, "is it nice outside", relevance=cosines, rung=Rung.EMBED)
    assert ranking.candidates[0].tool.name == "get_current_weather"
    assert ranking.candidates[0].relevance == pytest.approx(0.9)


def test_affinity_lifts_a_tool_past_a_slightly_better_one_and_is_shown() -> None:
    plain = rank(OFFICE, INDEX, "read this address")
    other = plain.candidates[1].tool
    lifted = rank(OFFICE, INDEX, "read this address", affinity={other.id: 0.8})
    assert lifted.candidates[0].tool is other
    assert lifted.candidates[0].affinity == 0.8
    lowered = rank(OFFICE, INDEX, "read this address", affinity={plain.candidates[0].tool.id: -0.8})
    assert lowered.candidates[0].tool is not plain.candidates[0].tool


def test_an_affinity_of_a_tool_that_is_gone_changes_nothing() -> None:
    plain = rank(OFFICE, INDEX, TASK)
    ranking = rank(OFFICE, INDEX, TASK, affinity={"gone": 1.0})
    assert [c.tool for c in ranking.candidates] == [c.tool for c in plain.candidates]


def test_a_clear_task_is_surer_than_a_vague_one() -> None:
    clear = rank(OFFICE, INDEX, "create_issue: open a new issue in a repository on GitHub")
    vague = rank(OFFICE, INDEX, "make me happy with issues or messages")
    assert clear.confidence > 0.8 > vague.confidence
    assert clear.none_fits < 0.2 < vague.none_fits


@pytest.mark.parametrize("task", ["", "zzzz qqqq"])
def test_nothing_in_common_means_that_nothing_fits(task: str) -> None:
    ranking = rank(OFFICE, INDEX, task)
    assert ranking.confidence == 0.0
    assert ranking.none_fits == 1.0


def test_an_empty_catalog_gives_an_empty_ranking() -> None:
    ranking = rank((), KeywordIndex.build(()), TASK)
    assert ranking.candidates == ()
    assert ranking.none_fits == 1.0


def test_equal_scores_keep_the_order_of_the_catalog() -> None:
    scores = np.array([0.5] * 100, np.float32)
    assert list(order_of(scores, None, 3)) == [0, 1, 2]
