"""`tool-router route` shows what would be done with a task; `tool-router call` does it."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import anyio
import typer
from mcp.types import CallToolResult, ImageContent, TextContent
from rich.console import Console
from rich.table import Table

from tool_router.app import AppContext
from tool_router.cli.run import ASKS_BACK, FAILED, WRONG_USE, AsJson, Config, fail, print_json, with_app
from tool_router.errors import ToolRouterError
from tool_router.plan import Plan, Request, decision_facts
from tool_router.policy import Confirm, NeedArguments
from tool_router.results import META_KEY, consent_question
from tool_router.scoring.ranking import Ranking

Task = Annotated[str, typer.Argument(help="What to do, in plain words.")]
ContextText = Annotated[str, typer.Option("--context", help="What else is known and may hold values.")]
ToolName = Annotated[str | None, typer.Option("--tool", help="Exact name of a tool, to skip the search.")]
Arguments = Annotated[
    str | None, typer.Option("--arguments", help="Arguments as a JSON object; never guessed over.")
]


SETTLE_S = 2.0
"""Longest a command waits for the catalog's vectors; a large catalog's first ones take minutes."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("route")(route)
    app.command("call")(call)


def route(
    task: Task,
    context: ContextText = "",
    tool: ToolName = None,
    arguments: Arguments = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Show ranking, confidence, arguments with their provenance, and the decision. Nothing is called."""
    request = _request(task, context, tool, arguments)

    async def work(app: AppContext) -> Plan:
        await _settle(app)
        return await app.router.plan(request)

    plan = with_app(config, work)
    if plan.error is not None:
        raise fail(plan.error, FAILED)
    if as_json:
        print_json(_plan_json(plan))
    else:
        _show_plan(plan, Console())


def call(
    task: Task,
    context: ContextText = "",
    tool: ToolName = None,
    arguments: Arguments = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Agree to a call that needs agreement.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Do a task: find the tool, fill its arguments and call it.

    Exit codes: 0 executed, 1 failed, 2 wrong use, 3 nothing executed: something must be said first.
    """
    request = _request(task, context, tool, arguments)
    show_progress = sys.stderr.isatty()

    async def show(progress: float, total: float | None, message: str | None) -> None:
        if show_progress:
            typer.echo(f"  {message or ''} {_share(progress, total)}".rstrip(), err=True)

    async def work(app: AppContext) -> CallToolResult:
        await _settle(app)
        plan = await app.router.plan(request)
        return await app.router.execute(plan, show, agreed=_agreement(plan, yes))

    result = with_app(config, work)
    facts: dict[str, Any] = (result.meta or {}).get(META_KEY, {})
    if as_json:
        print_json(result.model_dump(mode="json", by_alias=True, exclude_none=True))
    else:
        _show_result(result, facts)
    if result.is_error:
        raise typer.Exit(FAILED)
    if facts.get("status") != "executed":
        raise typer.Exit(ASKS_BACK)


async def _settle(app: AppContext) -> None:
    """Give relevance a moment: a command has only just started what a server has had ready for long."""
    if app.relevance is not None:
        with anyio.move_on_after(SETTLE_S):
            await app.keeper.first()
            await app.relevance.settled()


def _request(task: str, context: str, tool: str | None, arguments: str | None) -> Request:
    given: dict[str, Any] | None = None
    if arguments is not None:
        try:
            given = json.loads(arguments)
        except ValueError as error:
            raise fail(
                ToolRouterError(
                    f"--arguments is not JSON: {error}.", 'Give an object such as \'{"city": "Oslo"}\'.'
                ),
                WRONG_USE,
            ) from error
        if not isinstance(given, dict):
            raise fail(
                ToolRouterError("--arguments is not a JSON object.", 'Give {"name": value}.'), WRONG_USE
            )
    return Request.clean(task, context, tool, given)


def _agreement(plan: Plan, yes: bool) -> bool | None:
    """What the person says to a call that needs agreement; None where nobody can be asked."""
    if not isinstance(plan.decision, Confirm):
        return None
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return typer.confirm(consent_question(plan.decision), err=True)


def _plan_json(plan: Plan) -> dict[str, Any]:
    decision = plan.decision
    status = decision.kind if decision else "failed"
    draft = plan.draft
    return {
        **decision_facts(plan, status, {**plan.ms, "total": plan.spent_s * 1000}),
        "missing": list(draft.missing) if draft else [],
        "invalid": [{"path": item.path, "message": item.message} for item in draft.invalid] if draft else [],
        "doubts": list(draft.doubts) if draft else [],
        "ranked": _ranked_json(plan.ranking),
    }


def _ranked_json(ranking: Ranking | None) -> list[dict[str, Any]]:
    if ranking is None:
        return []
    return [
        {
            "tool": item.tool.id,
            "score": round(item.score, 4),
            "keyword": round(item.keyword, 4),
            "relevance": None if item.relevance is None else round(item.relevance, 4),
            "affinity": round(item.affinity, 4),
            "judged": None if item.judged is None else round(item.judged, 4),
            "availability": item.tool.availability.value,
        }
        for item in ranking.candidates
    ]


def _show_plan(plan: Plan, console: Console) -> None:
    ranking, draft, decision = plan.ranking, plan.draft, plan.decision
    if ranking is not None:
        table = Table(title=None, box=None, pad_edge=False)
        for column, justify in (("#", "right"), ("tool", "left"), ("score", "right"), ("keyword", "right")):
            table.add_column(column, justify="right" if justify == "right" else "left")
        table.add_column("relevance", justify="right")
        for place, item in enumerate(ranking.candidates, 1):
            relevance = "-" if item.relevance is None else f"{item.relevance:.3f}"
            note = "" if item.tool.available else f" ({item.tool.availability})"
            table.add_row(
                str(place), item.tool.id + note, f"{item.score:.3f}", f"{item.keyword:.3f}", relevance
            )
        console.print(table)
        reason = f" ({ranking.rung_reason})" if ranking.rung_reason else ""
        console.print(
            f"\nconfidence {ranking.confidence:.0%}, rung {ranking.rung}{reason}, {plan.ms['rank']:.1f} ms",
            highlight=False,
            markup=False,
        )
    lines: list[str] = []
    if draft is not None:
        for name, value in draft.values.items():
            evidence = f" ({value.evidence!r})" if value.evidence else ""
            lines.append(
                f"  {name} = {json.dumps(value.value, ensure_ascii=False)}  from {value.source}{evidence}"
            )
        lines += [f"  missing: {name}" for name in draft.missing]
        lines += [f"  not valid: {item.path}: {item.message}" for item in draft.invalid]
        lines += [f"  not clear: {doubt}" for doubt in draft.doubts]
    tool = f" {plan.tool.id}" if plan.tool else ""
    lines.insert(0, f"decision: {decision.kind if decision else 'failed'}{tool}")
    console.print("\n".join(lines), highlight=False, markup=False)
    if isinstance(decision, NeedArguments | Confirm):
        console.print(
            f"call it with: --tool {decision.tool.id} --arguments '{{...}}'", highlight=False, markup=False
        )


def _show_result(result: CallToolResult, facts: dict[str, Any]) -> None:
    for block in result.content:
        match block:
            case TextContent():
                typer.echo(block.text)
            case ImageContent():
                typer.echo(
                    f"[image {block.mime_type}, {len(block.data) * 3 // 4} bytes; use --json for the data]"
                )
            case _:
                typer.echo(f"[{block.type}; use --json for the data]")
    if facts.get("tool"):
        total = facts.get("ms", {}).get("total", 0.0)
        typer.echo(f"-- {facts['status']} {facts['tool']} in {total:.0f} ms", err=True)


def _share(done: float, total: float | None) -> str:
    return f"{done / total:.0%}" if total else ""
