"""Texts and schemas that nobody means well with, and arguments that do not fit."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.args import tools
from tests.unit.args.tools import TEXT, record, said, tool
from tool_router.args.build import build
from tool_router.args.model import Source
from tool_router.catalog.model import Tool

MEGABYTE = 1_000_000
SLOW_S = 3.0
"""Far above what any of these takes (0.1 s), far below what a quadratic pattern does (minutes)."""


@pytest.mark.parametrize("task", ["", "   \n\t", "\0" * 100])
def test_an_empty_task_leaves_everything_missing(task: str) -> None:
    draft = build(tools.BOOK_ROOM, task)
    assert draft.missing == ("city", "nights")
    assert draft.values == {}


@pytest.mark.alone
@pytest.mark.parametrize(
    "piece",
    ["a", "a ", "hello World 12 'a' ", "[", "[]", '"', "'\"", "1,", "1-", "/", "a/", "a.", "Aa, ", "a=1 ",
     "*",
     "a*", "x+", "x^", "select ", "a@", "\n", "a-", "_", '{"a":', "May 5, 2024 ", "Aa and ", "twenty ", "(x)",
     "\ud800", "é", "\u202e"],
)  # fmt: skip
def test_a_megabyte_of_anything_is_read_quickly(piece: str) -> None:
    task = piece * (MEGABYTE // len(piece))
    started = time.perf_counter()
    draft = build(tools.BOOK_ROOM, task)
    assert time.perf_counter() - started < SLOW_S
    assert not draft.clear


def test_a_task_that_was_not_read_to_its_end_is_never_clear() -> None:
    draft = build(tools.ECHO, 'echo "hello"' + " and so on" * 2_000)
    assert any("were read" in doubt for doubt in draft.doubts)


@settings(max_examples=150, deadline=None)
@given(task=st.text(max_size=200), context=st.text(max_size=60))
def test_every_value_is_traced_to_words_that_are_there(task: str, context: str) -> None:
    for found in (tools.BOOK_ROOM, tools.ADD_OBSERVATIONS, tools.CREATE_ISSUE, tools.CONVERT_TIME):
        for value in build(found, task, context).values.values():
            if value.source is Source.TASK:
                assert value.evidence in task
            elif value.source is Source.CONTEXT:
                assert value.evidence in context


RECURSIVE = {
    "type": "object",
    "properties": {"node": {"$ref": "#/$defs/N"}},
    "required": ["node"],
    "$defs": {"N": record(name=TEXT, children={"type": "array", "items": {"$ref": "#/$defs/N"}})},
}


def lists_of_lists(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = dict(TEXT)
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        True,
        False,
        {},
        None,
        [1],
        "x",
        RECURSIVE,
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#/properties/b"}, "b": {"$ref": "#/properties/a"}}},
        {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}]}}, "required": ["a"]},
        {"type": "object", "properties": ["a"]},
        {"type": "object", "properties": {"a": 3, "b": None, "c": True, "d": False}, "required": "a"},
        {"type": "objekt", "properties": {"a": {"type": "strnig"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(["}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": "x"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"enum": "abc"}, "b": {"type": 5}}, "required": ["a", 4]},
        {"type": "object", "properties": {"a": {"enum": [[1], {"x": 1}, None]}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": lists_of_lists(2_000)}, "required": ["a"]},
    ],
)
@pytest.mark.parametrize(
    "given_arguments", [None, {"a": "1", "other": 3}, {"a": [[["x"]]], "node": {"name": 1}}]
)
def test_no_schema_breaks_the_building(schema: Any, given_arguments: dict[str, Any] | None) -> None:
    draft = build(Tool("s::t", "t", input_schema=schema), 'find "x y" in Paris, a=5', given=given_arguments)
    for name in given_arguments or {}:
        assert draft.values[name].source is Source.CALLER


def test_a_schema_that_can_not_be_used_is_said_to_be_so() -> None:
    schema = record(a={"type": "string", "pattern": "(["})
    draft = build(tool("t", "Does it", schema), "", given={"a": "x"})
    assert any("schema could not be used" in doubt for doubt in draft.doubts)
    assert not draft.clear


@pytest.mark.alone
def test_hundreds_of_parameters_are_handled_in_time() -> None:
    properties = {f"part_{i}_name": said(f"Value {i} of the thing, e.g. foo{i}") for i in range(400)}
    huge = tool("huge", "Takes a lot", record(["part_7_name"], **properties))
    started = time.perf_counter()
    build(huge, 'the part 7 is "x", in Paris for 3 days')
    assert time.perf_counter() - started < SLOW_S


@pytest.mark.parametrize(
    ("schema", "value", "coerced"),
    [
        ({"type": "integer"}, "5", 5),
        ({"type": "integer"}, 5.0, 5),
        ({"type": "number"}, "2.5", 2.5),
        ({"type": "boolean"}, "yes", True),
        ({"type": "string"}, 5, "5"),
        ({"type": "array", "items": {"type": "string"}}, "a", ["a"]),
        ({"type": "array", "items": {"type": "integer"}}, ["1", 2], [1, 2]),
        ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, '{"n": "3"}', {"n": 3}),
        ({"type": "string", "enum": ["air_clean"]}, "Air Clean", "air_clean"),
        ({"type": ["integer", "null"]}, None, None),
        ({"type": "array", "items": {"type": "integer"}}, None, [None]),
    ],
)
def test_given_arguments_are_coerced_where_nothing_is_lost(
    schema: dict[str, Any], value: Any, coerced: Any
) -> None:
    draft = build(tool("t", "Does it", record(a=schema)), "", given={"a": value})
    assert draft.values["a"].value == coerced
    assert type(draft.values["a"].value) is type(coerced)


@pytest.mark.parametrize(
    ("schema", "value"),
    [({"type": "integer"}, "five"), ({"type": "integer"}, 2.5), ({"type": "string", "enum": ["x"]}, "y")],
)
def test_a_given_argument_that_does_not_fit_is_kept_and_reported(schema: dict[str, Any], value: Any) -> None:
    draft = build(tool("t", "Does it", record(a=schema)), "take 7 of x", given={"a": value})
    assert draft.values["a"].value == value
    assert [one.path for one in draft.invalid] == ["/a"]
    assert not draft.complete


def test_an_unknown_given_name_is_reported_with_the_nearest_one() -> None:
    schema = {**record(["timezone"], timezone=TEXT, limit=TEXT), "additionalProperties": False}
    draft = build(tool("t", "Does it", schema), "", given={"time_zone": "UTC", "limit": "5"})
    [broken] = draft.invalid
    assert broken.path == "/time_zone"
    assert "'timezone'" in broken.message
    assert draft.missing == ("timezone",)


def test_a_given_argument_is_never_guessed_over() -> None:
    draft = build(tools.LIST_DIRECTORY, "list the files in ./samples", given={"path": "/elsewhere"})
    assert draft.arguments == {"path": "/elsewhere"}
    assert draft.clear
