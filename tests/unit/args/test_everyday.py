"""Ordinary requests against the tools of ordinary servers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.args import tools
from tool_router.args.build import build
from tool_router.args.model import Source
from tool_router.catalog.model import Tool

NOW = datetime(2024, 5, 15, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tool", "task", "arguments"),
    [
        (tools.CURRENT_TIME, "what time is it in Tokyo", {"timezone": "Asia/Tokyo"}),
        (tools.CURRENT_TIME, "time in Sao Paulo, please", {"timezone": "America/Sao_Paulo"}),
        (tools.CURRENT_TIME, "current time in UTC", {"timezone": "UTC"}),
        (
            tools.CONVERT_TIME,
            "convert 14:30 from Berlin to New York time",
            {"source_timezone": "Europe/Berlin", "time": "14:30", "target_timezone": "America/New_York"},
        ),
        (tools.LIST_DIRECTORY, "list the files in ./samples", {"path": "./samples"}),
        (tools.LIST_DIRECTORY, "what is in ~/Documents/work", {"path": "~/Documents/work"}),
        (tools.READ_FILE, "read docs/notes.txt", {"path": "docs/notes.txt"}),
        (tools.READ_FILE, "show the first 10 lines of README.md", {"path": "README.md", "head": 10}),
        (
            tools.READ_FILE,
            "print the last 5 lines of /var/log/syslog",
            {"path": "/var/log/syslog", "tail": 5},
        ),
        (
            tools.WRITE_FILE,
            'write "hello there" to greeting.txt',
            {"path": "greeting.txt", "content": "hello there"},
        ),
        (
            tools.MOVE_FILE,
            "move a.txt to archive/a.txt",
            {"source": "a.txt", "destination": "archive/a.txt"},
        ),
        (tools.SEARCH_FILES, "find all files matching *.py in ./src", {"path": "./src", "pattern": "*.py"}),
        (tools.SEARCH_NODES, "search my memory for Ada", {"query": "Ada"}),
        (tools.SEARCH_NODES, "what do I know about Ada?", {"query": "Ada"}),
        (tools.OPEN_NODES, "open the nodes Ada and Bob", {"names": ["Ada", "Bob"]}),
        (
            tools.ADD_OBSERVATIONS,
            "remember that Ada likes tea",
            {"observations": [{"entityName": "Ada", "contents": ["likes tea"]}]},
        ),
        (tools.GET_SUM, "add 17 and 25", {"a": 17, "b": 25}),
        (tools.GET_SUM, "sum of 2.5 and -3", {"a": 2.5, "b": -3}),
        (tools.ECHO, "echo hello world", {"message": "hello world"}),
        (tools.ECHO, "Please echo back: the quick brown fox", {"message": "the quick brown fox"}),
        (
            tools.LONG_RUNNING,
            "run the long operation for 2 minutes in 4 steps",
            {"duration": 120, "steps": 4},
        ),
        (tools.LONG_RUNNING, "start a long running operation", {}),
        (
            tools.GIT_LOG,
            "git log of the last 5 commits in ~/src/app",
            {"repo_path": "~/src/app", "max_count": 5},
        ),
        (
            tools.CREATE_ISSUE,
            "open an issue 'Crash on start' in octocat/hello-world",
            {"owner": "octocat", "repo": "hello-world", "title": "Crash on start"},
        ),
        (tools.FETCH, "fetch https://example.com/page", {"url": "https://example.com/page"}),
        (
            tools.FETCH,
            "get the first 2000 characters of https://example.com",
            {"url": "https://example.com", "max_length": 2000},
        ),
        (
            tools.READ_QUERY,
            "run `SELECT count(*) FROM users` on the database",
            {"query": "SELECT count(*) FROM users"},
        ),
        (
            tools.BOOK_ROOM,
            "Book a double room in Lisbon for 3 nights from May 20, 2024 with breakfast",
            {
                "city": "Lisbon",
                "nights": 3,
                "check_in": "2024-05-20",
                "room_type": "double",
                "breakfast": True,
            },
        ),
        (tools.BOOK_ROOM, "Book a room in Lisbon for 3 nights", {"city": "Lisbon", "nights": 3}),
    ],
)
def test_a_clear_request_is_filled_and_needs_no_question(
    tool: Tool, task: str, arguments: dict[str, Any]
) -> None:
    draft = build(tool, task, now=NOW)
    assert draft.arguments == arguments
    assert draft.clear, draft


@pytest.mark.parametrize(
    ("tool", "task", "missing"),
    [
        (tools.CURRENT_TIME, "what time is it", ("timezone",)),
        (tools.CURRENT_TIME, "what time is it in Xanadu", ("timezone",)),
        (tools.LIST_DIRECTORY, "list the files", ("path",)),
        (tools.GET_SUM, "add 17", ("b",)),
        (tools.CREATE_ISSUE, "open an issue 'Crash on start'", ("owner", "repo")),
        (tools.CREATE_ENTITIES, "remember that Ada likes tea", ("entities[0].entityType",)),
        (tools.BOOK_ROOM, "book a room", ("city", "nights")),
    ],
)
def test_what_the_text_does_not_say_is_missing_and_never_invented(
    tool: Tool, task: str, missing: tuple[str, ...]
) -> None:
    draft = build(tool, task, now=NOW)
    assert draft.missing == missing
    assert not draft.clear


def test_a_partly_told_entity_keeps_what_was_told() -> None:
    draft = build(tools.CREATE_ENTITIES, "remember that Ada likes tea")
    assert draft.arguments == {"entities": [{"name": "Ada", "observations": ["likes tea"]}]}
    assert draft.values["entities"].evidence == "Ada likes tea"


@pytest.mark.parametrize(
    ("tool", "task"),
    [
        (tools.CONVERT_TIME, "what is 9am London time in Tokyo?"),
        (tools.BOOK_ROOM, "Book a room in Lisbon for 3 nights under 200"),
        (tools.BOOK_ROOM, "Book a room in Lisbon for 3 nights, check-in 03/04/2024"),
        (tools.BOOK_ROOM, "Book a penthouse room in Lisbon for 3 nights"),
        (tools.WRITE_FILE, 'write "one" and then "two" to out.txt'),
    ],
)
def test_a_request_that_can_be_read_two_ways_is_doubted(tool: Tool, task: str) -> None:
    draft = build(tool, task)
    assert not draft.clear
    assert draft.doubts


def test_a_number_that_nothing_took_is_asked_about_while_a_parameter_is_open() -> None:
    draft = build(tools.FETCH, "fetch https://example.com, 7")
    assert draft.arguments == {"url": "https://example.com"}
    assert draft.doubts == ("'7' was not used.",)


def test_values_name_their_source_and_their_words() -> None:
    draft = build(tools.CREATE_ISSUE, 'open an issue "Crash" in octocat/hello', given={"body": "It crashes."})
    assert draft.values["title"].source is Source.TASK
    assert draft.values["title"].evidence == "Crash"
    assert draft.values["owner"].evidence == "octocat"
    assert draft.values["body"].source is Source.CALLER
    assert draft.values["body"].evidence == ""


def test_the_context_fills_what_the_task_leaves_open() -> None:
    draft = build(tools.LIST_DIRECTORY, "list the files there", "We work in /srv/data today.")
    assert draft.values["path"].value == "/srv/data"
    assert draft.values["path"].source is Source.CONTEXT


def test_the_task_comes_before_the_context() -> None:
    draft = build(tools.LIST_DIRECTORY, "list the files in ./here", "We work in /srv/data today.")
    assert draft.values["path"].value == "./here"


@pytest.mark.parametrize(
    ("task", "day"),
    [
        ("tomorrow", "2024-05-16"),
        ("yesterday", "2024-05-14"),
        ("next Monday", "2024-05-20"),
        ("in 3 days", "2024-05-18"),
        ("5 days ago", "2024-05-10"),
    ],
)
def test_a_relative_date_is_counted_from_the_given_clock(task: str, day: str) -> None:
    diary = tools.tool("get_diary", "Read the diary", tools.record(date=tools.said("The date (YYYY-MM-DD)")))
    assert build(diary, f"read the diary of {task}", now=NOW).arguments == {"date": day}


def test_without_a_clock_a_relative_date_is_no_date() -> None:
    diary = tools.tool("get_diary", "Read the diary", tools.record(date=tools.said("The date (YYYY-MM-DD)")))
    assert build(diary, "read the diary of tomorrow").missing == ("date",)
