"""What a tool does to the world, read from annotations and, without them, from its text."""

from __future__ import annotations

from typing import Any

import pytest

from tool_router.catalog.model import Hints, Tool
from tool_router.effect import Effect, effect_of


def tool(name: str, description: str = "", hints: Hints | None = None, **properties: Any) -> Tool:
    schema = {"type": "object", "properties": properties}
    return Tool(f"s::{name}", name, "s", description=description, input_schema=schema, hints=hints or Hints())


@pytest.mark.parametrize(
    ("hints", "effect"),
    [
        (Hints(read_only=True), Effect.READ),
        (Hints(read_only=True, destructive=True), Effect.READ),
        (Hints(read_only=False, destructive=False), Effect.WRITE),
        (Hints(destructive=False), Effect.WRITE),
        (Hints(read_only=False, destructive=True), Effect.DESTRUCTIVE),
        (Hints(destructive=True), Effect.DESTRUCTIVE),
    ],
)
def test_annotations_decide_where_a_server_gives_them(hints: Hints, effect: Effect) -> None:
    assert effect_of(tool("frobnicate", hints=hints)) is effect


@pytest.mark.parametrize(
    ("name", "description", "effect"),
    [
        ("list_issues", "List the issues of a repository", Effect.READ),
        ("getUserById", "Returns one user", Effect.READ),
        ("list_comments", "List the comments of an issue", Effect.READ),
        ("get_or_create_user", "Gets a user", Effect.WRITE),
        ("convert_time", "Convert time between time zones", Effect.READ),
        ("create_issue", "Create an issue", Effect.WRITE),
        ("send-email", "Sends an email", Effect.WRITE),
        ("delete_file", "Delete a file", Effect.DESTRUCTIVE),
        ("DropTable", "Drops a table", Effect.DESTRUCTIVE),
        ("rm", "", Effect.DESTRUCTIVE),
    ],
)
def test_the_name_and_description_decide_where_there_are_no_annotations(
    name: str, description: str, effect: Effect
) -> None:
    assert effect_of(tool(name, description)) is effect


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("get_inbox", "Permanently removes read messages and returns the rest"),
        ("get_or_delete", "Gets an item"),
        ("save_file", "Save a file; an existing one is overwritten: overwrites without asking"),
    ],
)
def test_of_several_readings_the_more_careful_one_counts(name: str, description: str) -> None:
    assert effect_of(tool(name, description)) is Effect.DESTRUCTIVE


def test_a_tool_nothing_is_known_about_is_thought_to_write() -> None:
    assert effect_of(tool("zorp")) is Effect.WRITE


def test_a_parameter_that_forces_makes_a_writing_tool_destructive() -> None:
    assert effect_of(tool("copy_file", "Copy a file")) is Effect.WRITE
    assert effect_of(tool("copy_file", "Copy a file", overwrite={"type": "boolean"})) is Effect.DESTRUCTIVE


def test_a_tool_that_runs_given_code_is_destructive_unless_it_only_reads() -> None:
    assert (
        effect_of(tool("submit", "Submit to the interpreter", code={"type": "string"})) is Effect.DESTRUCTIVE
    )
    assert effect_of(tool("explain", "Explain a snippet", code={"type": "string"})) is Effect.READ


def test_not_read_only_without_more_is_as_careful_as_its_text() -> None:
    hints = Hints(read_only=False)
    assert effect_of(tool("add_note", "Add a note", hints)) is Effect.WRITE
    assert effect_of(tool("get_note", "Get a note", hints)) is Effect.WRITE
    assert effect_of(tool("purge_notes", "Purge notes", hints)) is Effect.DESTRUCTIVE


@pytest.mark.parametrize("schema", [True, False, {"properties": "nonsense"}, {"type": "object"}])
def test_a_broken_schema_does_not_stop_the_reading(schema: Any) -> None:
    assert effect_of(Tool("x", "get_x", input_schema=schema)) is Effect.READ
