from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tool_router.args.grounding import MOST_PARTS, comparable, grounded, texts_of
from tool_router.args.slots import slots_of

NOW = datetime(2024, 3, 4, 10, 0, tzinfo=UTC)
TASK = (
    "Book Table 12 at “Chez  Nous” for five people on 5th of March 2024 at 7 pm, budget $1,250.50, growth "
    "5%, notes in /home/ada/notes.md, order no. AB-7731, mail to Ada.Lovelace@Example.org"
)
CONTEXT = "The user prefers a quiet place; Tokio liegt in 東京都. yes"


def slot(schema: Any) -> Any:
    return slots_of({"properties": {"value": schema}, "required": ["value"]})[0]


def ground(value: Any, schema: Any | None = None) -> str | None:
    return grounded(value, slot(schema if schema is not None else {}), texts_of(TASK, CONTEXT, NOW))


@pytest.mark.parametrize(
    "value",
    [
        "Chez Nous",
        "chez nous",
        '"Chez Nous"',
        "a quiet place",
        "AB-7731",
        "/home/ada/notes.md",
        "ada.lovelace@example.org",
        "東京",
        "Table 12",
    ],
)
def test_a_text_that_stands_there_is_grounded_whatever_its_case_and_spacing(value: str) -> None:
    assert ground(value, {"type": "string"})


@pytest.mark.parametrize(
    "value",
    ["Chez Vous", "AB-77", "B-7731", "notes", "Ada", "", "  ", "ote", "bob@example.org", "x" * 10_000],
)
def test_a_text_that_does_not_stand_there_as_whole_words_is_made_up(value: str) -> None:
    made_up = {"AB-77", "B-7731", "ote", "Chez Vous", "", "  ", "bob@example.org", "x" * 10_000}
    assert (ground(value, {"type": "string"}) is None) is (value in made_up)


@pytest.mark.parametrize("value", [12, 5, 1250.5, 2024])
def test_a_number_is_grounded_in_any_notation(value: float) -> None:
    assert ground(value, {"type": "number"})


@pytest.mark.parametrize("value", [7731.5, 13, 125050, 3, -5, float("nan"), float("inf"), 10**400])
def test_a_number_that_is_not_there_is_made_up(value: float) -> None:
    assert ground(value, {"type": "number"}) is None


def test_a_percentage_is_grounded_as_the_parameter_writes_it() -> None:
    rate = {"type": "number", "description": "growth rate as a decimal fraction"}
    assert ground(0.05, rate) == "5%"
    assert ground(0.06, rate) is None


@pytest.mark.parametrize(
    "value", ["2024-03-05", "March 5, 2024", "5 March 2024", "19:00", "7 pm", "2024-03-05T19:00"]
)
def test_a_moment_is_grounded_in_any_layout(value: str) -> None:
    assert ground(value, {"type": "string"})


def test_a_relative_date_is_grounded_by_the_clock() -> None:
    texts = texts_of("remind me tomorrow", "", NOW)
    day = slot({"type": "string", "format": "date"})
    assert grounded("2024-03-05", day, texts) == "tomorrow"
    assert grounded("2024-03-06", day, texts) is None
    assert grounded("2024-03-05", day, texts_of("remind me tomorrow", "", None)) is None


def test_a_member_of_the_enum_and_the_default_need_no_text() -> None:
    assert ground("celsius", {"enum": ["celsius", "kelvin"]}) == ""
    assert ground("fahrenheit", {"enum": ["celsius", "kelvin"]}) is None
    assert ground(99, {"type": "integer", "default": 99}) == ""
    assert ground(98, {"type": "integer", "default": 99}) is None
    assert ground(1, {"enum": [True]}) is None


@pytest.mark.parametrize("value", [True, False, None])
def test_a_truth_value_or_nothing_is_never_grounded_by_chance(value: Any) -> None:
    assert ground(value, {"type": "boolean"}) is None


def test_of_a_list_every_member_must_stand_there() -> None:
    texts = {"type": "array", "items": {"type": "string"}}
    assert ground(["Chez Nous", "a quiet place"], texts)
    assert ground(["Chez Nous", "a loud place"], texts) is None
    assert ground([], texts) is None


def test_of_an_object_every_member_must_stand_there_and_its_own_names_too() -> None:
    place = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    assert ground({"name": "Chez Nous"}, place)
    assert ground({"name": "Chez Vous"}, place) is None
    assert ground({"name": "Chez Nous", "stars": 5}, place) is None
    assert ground({}, place) is None
    assert ground({"budget": 5}, {"type": "object"})


def test_a_value_of_too_many_parts_or_too_deep_is_refused() -> None:
    assert ground([5] * (MOST_PARTS + 1), {"type": "array", "items": {"type": "integer"}}) is None
    deep: Any = 5
    for _ in range(MOST_PARTS + 10):
        deep = [deep]
    assert ground(deep, {}) is None


def test_the_evidence_is_what_the_text_says() -> None:
    assert ground("chez nous", {"type": "string"}) == "Chez  Nous"
    people = texts_of("for five people", "", None)
    assert grounded(5, slot({"type": "integer"}), people) == "five"
    assert ground("2024-03-05", {"type": "string"}) == "5th of March 2024"


def test_texts_are_compared_without_what_does_not_matter() -> None:
    assert comparable("  \uff21\u2019s \u2014 B\n\tc ") == "a's - b c"
