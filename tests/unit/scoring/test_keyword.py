"""The keyword score: which tool's words a task speaks of."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.scoring.catalogs import OFFICE, tool
from tool_router.scoring.keyword import KeywordIndex

INDEX = KeywordIndex.build(OFFICE)


def best(task: str, context: str = "", index: KeywordIndex = INDEX) -> str:
    return OFFICE[int(np.argmax(index.scores(task, context)))].name


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("open an issue about the broken login", "create_issue"),
        ("show me all issues that are open in the repository", "list_issues"),
        ("remove issue 12 for good", "delete_issue"),
        ("tell the team channel in Slack that lunch is ready", "send_message"),
        ("weathr in Oslo now", "get_current_weather"),
        ("currentweather", "get_current_weather"),
        ("GET_CURRENT_WEATHER", "get_current_weather"),
        ("перескажи кратко этот длинный текст", "суммаризировать_текст"),
        ("read fetch_urls", "fetch_urls"),
        ("read fetch_url", "fetch_url"),
    ],
)
def test_the_tool_a_task_speaks_of_comes_first(task: str, name: str) -> None:
    assert best(task) == name


def test_every_score_lies_between_zero_and_one() -> None:
    scores = INDEX.scores("GitHub create_issue list_issues open a new issue in a repository with a title")
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_very_good_matches_are_still_told_apart() -> None:
    scores = INDEX.scores("On GitHub, use create_issue to open a new issue in a repository")
    first, second = np.sort(scores)[::-1][:2]
    assert first > second


def test_words_inside_quotes_count_less_than_the_words_around_them() -> None:
    assert best('send the message "delete an issue for good" to the channel') == "send_message"


def test_the_context_helps_and_never_outweighs_the_task() -> None:
    assert best("do it in that channel", "we were talking about a message") == "send_message"
    assert best("list the issues", "send a message to the channel on Slack") == "list_issues"


def test_a_tool_whose_name_says_the_opposite_action_falls_behind() -> None:
    tools = (tool("delete_note", "Notes of a person"), tool("get_note", "Notes of a person"))
    index = KeywordIndex.build(tools)
    removing, reading = index.scores("erase the note of this person")
    assert removing > reading
    removing, reading = index.scores("retrieve the note of this person")
    assert reading > removing


@pytest.mark.parametrize("task", ["", "   ", "\0", "!!! ???", "x" * 1_000_000, "🙂" * 1000])
def test_a_task_without_words_scores_nothing_and_breaks_nothing(task: str) -> None:
    scores = INDEX.scores(task)
    assert scores.shape == (len(OFFICE),)
    assert np.isfinite(scores).all()


def test_an_empty_catalog_has_no_scores() -> None:
    assert KeywordIndex.build(()).scores("anything").shape == (0,)


@pytest.mark.parametrize(
    "schema", [True, False, {}, {"properties": 3}, {"$ref": "#"}, {"properties": {"a": True}}]
)
def test_any_schema_can_be_indexed(schema: object) -> None:
    odd = tool("odd_one")
    object.__setattr__(odd, "input_schema", schema)
    assert KeywordIndex.build((odd,)).scores("odd one")[0] > 0


def test_a_name_is_recognised_where_the_task_spells_it() -> None:
    assert INDEX.names("please use fetch_url", 5)
    assert INDEX.names("on Slack", 3)
    assert not INDEX.names("please do something", 5)


def test_a_deprecated_tool_stands_behind_its_successor() -> None:
    tools = (
        tool("read_file", "Read a file as text. DEPRECATED: use read_text_file"),
        tool("read_text_file", "Read a file as text"),
    )
    old, new = KeywordIndex.build(tools).scores("read the file notes.txt")
    assert new > old
