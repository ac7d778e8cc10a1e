"""What the client's model gets for each decision."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.types import CallToolResult, ImageContent, TextContent

from tool_router.args.model import Draft, Invalid, Source, Value
from tool_router.catalog.model import Availability, Tool
from tool_router.effect import Effect
from tool_router.errors import (
    BreakerOpen,
    GatewayRejected,
    GatewayTimeout,
    GatewayUnreachable,
    ToolRouterError,
    UnknownTool,
)
from tool_router.policy import Ambiguous, Confirm, NeedArguments, NoMatch
from tool_router.results import (
    META_KEY,
    SCHEMA_BUDGET,
    consent_question,
    describe_failure,
    describe_unfinished,
    with_decision,
)
from tool_router.scoring.ranking import Candidate

TOOL = Tool("files::read", "read", "files", description="Read a file", input_schema={"type": "object"})
DRAFT = Draft({"path": Value("/a", Source.TASK, "/a")})


def text_of(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


def content_of(result: CallToolResult) -> dict[str, Any]:
    return result.structured_content


def test_missing_arguments_come_with_the_schema_and_the_call_to_make() -> None:
    draft = Draft(
        DRAFT.values, missing=("mode",), invalid=(Invalid("/path", "is no path"),), doubts=("which path?",)
    )

    result = describe_unfinished(NeedArguments(TOOL, draft), "read it", 5)

    content = content_of(result)
    assert not result.is_error
    assert content["status"] == "need_arguments"
    assert content["missing"] == ["mode"]
    assert content["input_schema"] == {"type": "object"}
    assert content["next_call"] == {"task": "read it", "tool": "files::read", "arguments": {"path": "/a"}}
    for said in ("files::read", "mode", "is no path", "which path?"):
        assert said in text_of(result)


def test_a_confirmation_returns_exactly_the_call_to_make() -> None:
    result = describe_unfinished(Confirm(TOOL, DRAFT, Effect.DESTRUCTIVE), "wipe it", 5)

    assert content_of(result)["next_call"] == {
        "task": "wipe it",
        "tool": "files::read",
        "arguments": {"path": "/a"},
    }
    assert not result.is_error


def test_a_refusal_offers_no_call() -> None:
    result = describe_unfinished(Confirm(TOOL, DRAFT, Effect.DESTRUCTIVE), "wipe it", 5, declined=True)
    assert content_of(result)["status"] == "declined"
    assert "next_call" not in content_of(result)


def test_the_question_to_a_person_shows_tool_effect_and_every_value() -> None:
    question = consent_question(Confirm(TOOL, DRAFT, Effect.DESTRUCTIVE))
    assert "files::read" in question
    assert "destructive" in question
    assert 'path = "/a"' in question


def test_candidates_carry_schemas_only_as_far_as_they_fit() -> None:
    big = Tool("b::big", "big", "b", input_schema={"description": "x" * SCHEMA_BUDGET})
    candidates = tuple(Candidate(tool, 0.5, 0.5) for tool in (TOOL, big, TOOL))

    rows = content_of(describe_unfinished(Ambiguous(candidates), "t", 5))["candidates"]

    assert ["input_schema" in row for row in rows] == [True, False, True]


def test_only_as_many_candidates_are_shown_as_asked_for() -> None:
    candidates = tuple(Candidate(TOOL, 0.5, 0.5) for _ in range(9))
    assert len(content_of(describe_unfinished(Ambiguous(candidates), "t", 3))["candidates"]) == 3


def test_a_tool_that_fits_and_cannot_be_called_is_named_with_the_reason() -> None:
    blocked = Tool(
        "s::search", "search", availability=Availability.NEEDS, unavailable_reason="set BRAVE_API_KEY"
    )
    result = describe_unfinished(NoMatch((), blocked), "search", 5)
    assert "s::search" in text_of(result)
    assert "set BRAVE_API_KEY" in text_of(result)


def test_without_any_tool_that_is_said_and_where_to_look() -> None:
    result = describe_unfinished(NoMatch(()), "read it", 5)
    assert text_of(result).startswith("There are no tools to choose from, so nothing was called.")
    assert "tool-router doctor" in text_of(result)


def test_a_question_keeps_its_mark() -> None:
    draft = Draft({}, invalid=(Invalid("/txt", "there is none; did you mean 'text'?"), Invalid("", "no")))
    lines = text_of(describe_unfinished(NeedArguments(TOOL, draft), "x", 5)).splitlines()
    assert lines[1:3] == ["Not valid: /txt: there is none; did you mean 'text'?", "Not valid: /: no."]


def test_an_empty_task_is_told_so() -> None:
    assert "empty" in text_of(describe_unfinished(NoMatch(), "  ", 5))


@pytest.mark.parametrize(
    ("error", "may_have_run"),
    [
        (GatewayUnreachable("refused.", "start it."), False),
        (GatewayTimeout("too late.", "wait."), True),
        (GatewayRejected(401, "401.", "check the token."), False),
        (BreakerOpen(["tool:x"], 12.0), False),
    ],
)
def test_a_failed_call_says_whether_the_tool_may_have_run(error: ToolRouterError, may_have_run: bool) -> None:
    result = describe_failure(error, TOOL, DRAFT)

    assert result.is_error
    assert content_of(result)["may_have_run"] is may_have_run
    assert ("may or may not have run" in text_of(result)) is may_have_run
    assert error.next_step in text_of(result)


def test_an_unknown_tool_lists_the_nearest_names() -> None:
    result = describe_failure(UnknownTool("raed", ["files::read"]), None, None)
    assert content_of(result)["candidates"] == [{"tool": "files::read"}]
    assert "files::read" in text_of(result)


def test_an_executed_result_keeps_everything_and_gains_the_decision() -> None:
    upstream = CallToolResult(
        content=[ImageContent(type="image", data="QUJD", mime_type="image/png")],
        structured_content={"a": 1},
        is_error=True,
        _meta={"theirs": 1},
    )

    result = with_decision(upstream, {"status": "executed"})

    assert result.meta == {"theirs": 1, META_KEY: {"status": "executed"}}
    assert result.model_copy(update={"meta": upstream.meta}) == upstream
