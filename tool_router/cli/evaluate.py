"""`tool-router eval` measures selection and arguments on a data set."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from tool_router.cli.run import WRONG_USE, AsJson, fail, print_json
from tool_router.errors import ToolRouterError
from tool_router.evaluation.dataset import load
from tool_router.evaluation.selection import Prediction, SelectionReport, evaluate


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("eval")(eval_command)


def eval_command(
    directories: Annotated[list[Path], typer.Argument(help="Directories with tools.jsonl and tasks.jsonl.")],
    tasks: Annotated[Path | None, typer.Option("--tasks", help="Another file of tasks.")] = None,
    rung: Annotated[Literal["keyword"], typer.Option("--rung", help="The rung to measure.")] = "keyword",
    arguments: Annotated[bool, typer.Option("--arguments", help="Score the arguments, too.")] = False,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="Write a JSON line per task.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure ranking, decisions and arguments on data sets; ties count against us."""
    reports: list[SelectionReport] = []
    lines: list[str] = []
    for directory in directories:
        try:
            data = load(directory, tasks)
        except ToolRouterError as error:
            raise fail(error, WRONG_USE) from error
        report, predicted = evaluate(data, arguments=arguments, on_progress=_show_progress)
        reports.append(report)
        lines += [json.dumps(_line(item), ensure_ascii=False, default=str) for item in predicted]
    if predictions is not None:
        predictions.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if as_json:
        print_json([_report_json(report, rung) for report in reports])
    else:
        _show(reports)


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty() and (done % 50 == 0 or done == total):
        typer.echo(f"\r{done}/{total} ", nl=done == total, err=True)


def _line(item: Prediction) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": item.task.id,
        "ranked": [{"id": c.tool.id, "score": round(c.score, 6)} for c in item.ranking.candidates],
        "confidence": round(item.ranking.confidence, 6),
        "decision": item.decision,
    }
    if item.draft is not None:
        line["arguments"] = {
            name: {"value": value.value, "source": value.source.value}
            for name, value in item.draft.values.items()
        }
        line["missing"] = list(item.draft.missing)
        line["would_execute"] = item.draft.clear
    return line


def _report_json(report: SelectionReport, rung: str) -> dict[str, Any]:
    row: dict[str, Any] = asdict(report) | {"rung": rung}
    if report.arguments is not None:
        row["arguments"] |= {
            "exact_share": report.arguments.exact_share,
            "executed_share": report.arguments.executed_share,
            "executed_exact_share": report.arguments.executed_exact_share,
        }
    return row


def _show(reports: list[SelectionReport]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in (
        "set",
        "n",
        "top-1",
        "hit@5",
        "MRR",
        "ms p50",
        "ms p95",
        "build ms",
        "acted on",
        "of it right",
    ):
        table.add_column(column, justify="left" if column == "set" else "right", no_wrap=True)
    for report in reports:
        table.add_row(
            report.name,
            str(report.n),
            *(_percent(value) for value in (report.top1, report.hit5, report.mrr)),
            f"{report.ms_p50:.2f}",
            f"{report.ms_p95:.2f}",
            f"{report.build_ms:.0f}",
            _percent(report.executed),
            _percent(report.executed_right),
        )
    console = Console(highlight=False)
    console.print(table)
    for report in reports:
        if (scored := report.arguments) is not None:
            console.print(
                f"{report.name} arguments: {scored.exact_share:.1%} of {scored.n} calls exact; "
                f"{scored.executed_share:.1%} would be executed without asking, "
                f"{scored.executed_exact_share:.1%} of those exact"
            )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
