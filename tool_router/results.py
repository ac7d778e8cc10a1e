"""What the client's model gets: each decision as an MCP result. Pure.

An executed call is the upstream's own result, untouched but for the router's facts under `META_KEY`. Every
other outcome is a short text plus `structuredContent` with the keys of `Unfinished`, and `isError` false,
because nothing failed; a failure sets it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from mcp.types import CallToolResult, TextContent

from tool_router.args.model import Draft
from tool_router.catalog.model import Tool
from tool_router.errors import BreakerOpen, GatewayBusy, GatewayError, ToolRouterError, UnknownTool
from tool_router.policy import Ambiguous, Confirm, NeedArguments, NoMatch
from tool_router.scoring.ranking import Candidate

META_KEY = "tool-router/decision"
"""Where a result's `_meta` says how it was reached."""

SCHEMA_BUDGET = 12_000
"""Characters of JSON Schema one answer may carry: the client's context window is what the router saves."""

DESCRIPTION_LIMIT = 200


class Unfinished(TypedDict, total=False):
    """`structuredContent` of an answer that did not execute anything."""

    status: str
    hint: str
    tool: str
    candidates: list[dict[str, Any]]
    missing: list[str]
    invalid: list[dict[str, str]]
    doubts: list[str]
    arguments: dict[str, Any]
    input_schema: Any
    next_call: dict[str, Any]


def describe_unfinished(
    decision: NeedArguments | Ambiguous | Confirm | NoMatch, task: str, shown: int, *, declined: bool = False
) -> CallToolResult:
    """Turn a decision that asks back into a result.

    Args:
        decision: what was decided.
        task: the task, for `next_call`.
        shown: how many candidates an unsure answer lists.
        declined: whether a person was asked and said no.
    """
    match decision:
        case NeedArguments():
            return _need_arguments(decision, task)
        case Confirm():
            return _declined(decision) if declined else _confirm(decision, task)
        case Ambiguous():
            return _ambiguous(decision, task, shown)
        case NoMatch():
            return _no_match(decision, task, shown)


def describe_failure(error: ToolRouterError, tool: Tool | None, draft: Draft | None) -> CallToolResult:
    """Turn an error into a result the client's model can act on."""
    content: dict[str, Any] = {"status": "failed", "error": type(error).__name__, "hint": error.next_step}
    text = str(error)
    if tool is not None:
        content["tool"] = tool.id
    if isinstance(error, UnknownTool):
        content |= {"status": "unknown_tool", "candidates": [{"tool": name} for name in error.nearest]}
    if isinstance(error, GatewayError):
        content["may_have_run"] = error.reached_tool
        if draft is not None:
            content["arguments"] = draft.arguments
        if error.reached_tool and tool is not None:
            text += f" {tool.id} may or may not have run; check before calling it again."
    if isinstance(error, BreakerOpen | GatewayBusy):
        content["retry_after_s"] = round(error.retry_after_s, 1)
    return _result(text, content, is_error=True)


def consent_question(decision: Confirm) -> str:
    """What a person is asked before a call that needs their agreement."""
    lines = [f"{name} = {_compact(value.value)}" for name, value in decision.draft.values.items()]
    return "\n".join(
        [f"Run {decision.tool.id} ({decision.effect.label})?", *(lines or ["It takes no arguments."])]
    )


def with_decision(result: CallToolResult, decision: Mapping[str, Any]) -> CallToolResult:
    """Add the router's facts to a result's `_meta`; everything else stays as it is."""
    return result.model_copy(update={"meta": {**(result.meta or {}), META_KEY: dict(decision)}})


def provenance(draft: Draft) -> dict[str, dict[str, Any]]:
    """Each argument with its value, its source, the text it was read from, and the model that found it."""
    return {
        name: {"value": value.value, "source": value.source.value, "evidence": value.evidence}
        | ({"model": value.model} if value.model else {})
        for name, value in draft.values.items()
    }


def _need_arguments(decision: NeedArguments, task: str) -> CallToolResult:
    tool, draft = decision.tool, decision.draft
    lines = [f"{tool.id} fits the task, but it was not called yet."]
    if draft.missing:
        lines.append(f"Missing: {', '.join(draft.missing)}.")
    lines += [f"Not valid: {item.path or '/'}: {_ended(item.message)}" for item in draft.invalid]
    lines += [f"Not clear: {doubt}" for doubt in draft.doubts]
    hint = "Call execute_task again with this `tool` and complete `arguments`."
    content = Unfinished(
        status="need_arguments",
        hint=hint,
        tool=tool.id,
        missing=list(draft.missing),
        invalid=[{"path": item.path, "message": item.message} for item in draft.invalid],
        doubts=list(draft.doubts),
        arguments=draft.arguments,
        input_schema=tool.input_schema,
        next_call=_next_call(task, tool, draft),
    )
    return _result("\n".join([*lines, hint]), content)


def _confirm(decision: Confirm, task: str) -> CallToolResult:
    tool, draft = decision.tool, decision.draft
    hint = "If the person agrees, call execute_task again exactly as `next_call` says."
    text = f"{tool.id} was not called: a {decision.effect.label} call needs a person's agreement.\n{hint}"
    content = Unfinished(
        status="confirm",
        hint=hint,
        tool=tool.id,
        arguments=draft.arguments,
        next_call=_next_call(task, tool, draft),
    )
    return _result(f"{text}\nnext_call: {_compact(content.get('next_call'))}", content)


def _declined(decision: Confirm) -> CallToolResult:
    text = f"{decision.tool.id} was not called: the person said no."
    content = Unfinished(
        status="declined", hint="Ask the person what they want instead.", tool=decision.tool.id
    )
    return _result(text, content)


def _ambiguous(decision: Ambiguous, task: str, shown: int) -> CallToolResult:
    candidates = decision.candidates[:shown]
    hint = "Call execute_task again with `tool` set to the one that is meant, and its `arguments`."
    why = decision.doubt or "Not sure enough which tool is meant"
    lines = [
        f"{why}, so nothing was called. Candidates:",
        *_listing(candidates),
        hint,
    ]
    content = Unfinished(
        status="ambiguous",
        hint=hint,
        candidates=_candidates(candidates),
        next_call={"task": task, "tool": candidates[0].tool.id} if candidates else {"task": task},
    )
    return _result("\n".join(lines), content)


def _no_match(decision: NoMatch, task: str, shown: int) -> CallToolResult:
    candidates = decision.candidates[:shown]
    blocked = decision.unavailable
    if blocked is not None:
        reason = blocked.unavailable_reason or blocked.availability
        first = f"{blocked.id} fits best, but can't be called: {reason}"
        hint = "Make it available as described, or name another tool in `tool`."
    elif not task.strip():
        first, hint = "The task is empty, so nothing was called.", "Say in `task` what should be done."
    elif not candidates:
        first = "There are no tools to choose from, so nothing was called."
        hint = "Run `tool-router doctor`: it says what the gateway lists and why."
    else:
        first = "No tool of the catalog fits this task, so nothing was called."
        hint = "Say the task in other words, name a tool in `tool`, or do it without a tool."
    lines = [first, *(["Nearest:", *_listing(candidates)] if candidates else []), hint]
    content = Unfinished(status="no_match", hint=hint, candidates=_candidates(candidates))
    if blocked is not None:
        content["tool"] = blocked.id
    return _result("\n".join(lines), content)


def _next_call(task: str, tool: Tool, draft: Draft) -> dict[str, Any]:
    return {"task": task, "tool": tool.id, "arguments": draft.arguments}


def _listing(candidates: Iterable[Candidate]) -> list[str]:
    return [f"- {item.tool.id}: {_first_line(item.tool.description)}" for item in candidates]


def _candidates(candidates: Iterable[Candidate]) -> list[dict[str, Any]]:
    """The candidates, best first, with schemas as long as they fit the budget."""
    rows: list[dict[str, Any]] = []
    left = SCHEMA_BUDGET
    for item in candidates:
        row: dict[str, Any] = {
            "tool": item.tool.id,
            "description": _first_line(item.tool.description),
            "score": round(item.score, 4),
        }
        size = len(_compact(item.tool.input_schema))
        if size <= left:
            row["input_schema"] = item.tool.input_schema
            left -= size
        rows.append(row)
    return rows


def _first_line(description: str) -> str:
    line = " ".join(description.split())
    return line if len(line) <= DESCRIPTION_LIMIT else f"{line[: DESCRIPTION_LIMIT - 1]}…"


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _result(text: str, content: Mapping[str, Any], *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=dict(content), is_error=is_error
    )
