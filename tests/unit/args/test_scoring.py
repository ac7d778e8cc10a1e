"""The scoring rules of the argument data sets."""

from __future__ import annotations

from typing import Any

import pytest

from tool_router.args.model import Draft, Source, Value
from tool_router.evaluation.arguments import ACCEPT_LISTS, EXACT, report_arguments, score_call


@pytest.mark.parametrize(
    ("gold", "arguments", "right"),
    [
        ({"a": [10]}, {"a": 10}, True),
        ({"a": [10]}, {"a": 10.0}, True),
        ({"a": [10]}, {"a": "10"}, False),
        ({"a": [10]}, {}, False),
        ({"a": [10, ""]}, {}, True),
        ({"a": [10]}, {"a": 10, "b": 1}, False),
        ({"a": ["New York", "NYC"]}, {"a": "new-york"}, True),
        ({"a": ["3x**2 + 2x"]}, {"a": "3x^2+2x"}, True),
        ({"a": [True]}, {"a": True}, True),
        ({"a": [True]}, {"a": 1}, False),
        ({"a": [1]}, {"a": True}, False),
        ({"a": [["x", "y"], ["y", "x"]]}, {"a": ["y", "x"]}, True),
        ({"a": [["x", "y"]]}, {"a": ["y", "x"]}, False),
        ({"a": [["x"]]}, {"a": "x"}, False),
        ({"a": [{"b": [1, 2], "c": ["", "z"]}]}, {"a": {"b": 2}}, True),
        ({"a": [{"b": [1]}]}, {"a": {"b": 1, "d": 0}}, False),
        ({"a": [[{"b": ["k"]}]]}, {"a": [{"b": "K"}]}, True),
        ({"a": ["", None]}, {"a": None}, True),
        ({}, {}, True),
    ],
)
def test_accept_lists_follow_the_rules_of_their_data_set(
    gold: dict[str, Any], arguments: dict[str, Any], right: bool
) -> None:
    assert score_call(gold, ACCEPT_LISTS, arguments) is right


@pytest.mark.parametrize(
    ("gold", "arguments", "right"),
    [
        ({"a": "37.5"}, {"a": 37.5}, True),
        ({"a": "87"}, {"a": 87}, True),
        ({"a": "x"}, {"a": "x"}, True),
        ({"a": "x"}, {"a": "X"}, False),
        ({"a": "x"}, {}, False),
        ({"a": "x"}, {"a": "x", "b": "y"}, False),
        ({}, {}, True),
    ],
)
def test_exact_wants_every_pair_and_takes_a_number_for_its_text(
    gold: dict[str, Any], arguments: dict[str, Any], right: bool
) -> None:
    assert score_call(gold, EXACT, arguments) is right


def test_an_unknown_kind_of_gold_is_an_error() -> None:
    with pytest.raises(ValueError, match="neither"):
        score_call({}, "fuzzy", {})


def test_the_report_counts_what_was_executed_and_how_much_of_it_is_right() -> None:
    def draft(value: int, *doubts: str) -> Draft:
        return Draft({"a": Value(value, Source.TASK, str(value))}, doubts=doubts)

    gold = {"a": [1]}
    drafts = [draft(1), draft(2), draft(1, "1 or 2?"), draft(1)]
    report = report_arguments((gold, ACCEPT_LISTS, one) for one in drafts)
    assert (report.n, report.exact, report.executed, report.executed_exact) == (4, 3, 3, 2)
    assert report.exact_share == 0.75
    assert report.executed_share == 0.75
    assert report.executed_exact_share == pytest.approx(2 / 3)


def test_a_report_of_nothing_has_no_shares() -> None:
    report = report_arguments([])
    assert (report.exact_share, report.executed_share, report.executed_exact_share) == (0.0, 0.0, 0.0)
