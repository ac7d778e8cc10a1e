"""`tool-router eval` measures selection, arguments and learning on data sets."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import typer
from rich.console import Console
from rich.table import Table

from tool_router.cli.run import FAILED, WRONG_USE, AsJson, Config, fail, print_json, settings_or_exit
from tool_router.config import Settings
from tool_router.errors import ProviderError, ToolRouterError
from tool_router.evaluation.dataset import DataSet, load
from tool_router.evaluation.learning import LearningReport, replay
from tool_router.evaluation.selection import Cosines, Prediction, SelectionReport, evaluate

RungName = Literal["keyword", "embed"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("eval")(eval_command)


def eval_command(
    directories: Annotated[list[Path], typer.Argument(help="Directories with tools.jsonl and tasks.jsonl.")],
    tasks: Annotated[Path | None, typer.Option("--tasks", help="Another file of tasks.")] = None,
    rung: Annotated[
        RungName,
        typer.Option("--rung", help="The rung to measure; embed asks the provider of the settings."),
    ] = "keyword",
    arguments: Annotated[bool, typer.Option("--arguments", help="Score the arguments, too.")] = False,
    learn: Annotated[
        bool, typer.Option("--learn", help="Replay the tasks with feedback; accuracy by quarter.")
    ] = False,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="Write a JSON line per task.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Measure ranking, decisions, arguments and learning on data sets; ties count against us."""
    settings = settings_or_exit(config)
    try:
        sets = [load(directory, tasks) for directory in directories]
    except ToolRouterError as error:
        raise fail(error, WRONG_USE) from error
    try:
        cosines = anyio.run(_cosines, sets, settings) if rung == "embed" else [None] * len(sets)
    except ProviderError as error:
        raise fail(error, FAILED) from error
    if learn:
        learned = [
            replay(data, cosines=of_set, on_progress=_show_progress)
            for data, of_set in zip(sets, cosines, strict=True)
        ]
        if as_json:
            print_json([asdict(report) for report in learned])
        else:
            _show_learning(learned)
        return
    reports: list[SelectionReport] = []
    lines: list[str] = []
    for data, of_set in zip(sets, cosines, strict=True):
        report, predicted = evaluate(
            data,
            cosines=of_set,
            arguments=arguments,
            policy=settings.policy,
            on_progress=_show_progress,
        )
        reports.append(report)
        lines += [json.dumps(_line(item), ensure_ascii=False, default=str) for item in predicted]
    if predictions is not None:
        predictions.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if as_json:
        print_json([_report_json(report) for report in reports])
    else:
        _show(reports)


async def _cosines(sets: Sequence[DataSet], settings: Settings) -> list[Cosines]:
    """The vectors of every set from the settings' provider; the store keeps those of tools."""
    from tool_router.ai.assembly import build_provider
    from tool_router.cache.assembly import open_store
    from tool_router.evaluation.relevance import SetEmbedder

    provider = build_provider(settings, os.environ)
    try:
        model = await provider.embedding_model()
        async with open_store(settings, os.environ) as store:
            embedder = SetEmbedder(provider, model, store)
            found: list[Cosines] = []
            for data in sets:
                if sys.stderr.isatty():
                    typer.echo(f"{data.name}: vectors of {len(data.tools)} tools from {model} ...", err=True)
                vectors = await embedder.tools(data.tools)
                queries = await embedder.tasks(data.tasks, _show_progress)
                found.append(Cosines(vectors.cosines, queries))
            return found
    finally:
        await provider.aclose()


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty() and (done % 50 == 0 or done == total):
        typer.echo(f"\r{done}/{total} ", nl=done == total, err=True)


def _line(item: Prediction) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": item.task.id,
        "ranked": [{"id": c.tool.id, "score": round(c.score, 6)} for c in item.ranking.candidates],
        "confidence": round(item.ranking.confidence, 6),
        "none_fits": round(item.ranking.none_fits, 6),
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


def _report_json(report: SelectionReport) -> dict[str, Any]:
    row: dict[str, Any] = asdict(report)
    if report.arguments is not None:
        row["arguments"] |= {
            "exact_share": report.arguments.exact_share,
            "executed_share": report.arguments.executed_share,
            "executed_exact_share": report.arguments.executed_exact_share,
        }
    return row


def _show(reports: list[SelectionReport]) -> None:
    table = Table(box=None, pad_edge=False)
    columns = ("set", "n", "top-1", "hit@5", "MRR", "ms p50", "ms p95", "build ms")
    for column in (*columns, "acted on", "of it right", "infeasible", "ECE"):
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
            _percent(report.false_executes),
            f"{report.calibration_error:.3f}",
        )
    console = _console()
    console.print(table)
    for report in reports:
        if (scored := report.arguments) is not None:
            console.print(
                f"{report.name} arguments: {scored.exact_share:.1%} of {scored.n} calls exact; "
                f"{scored.executed_share:.1%} would be executed without asking, "
                f"{scored.executed_exact_share:.1%} of those exact"
            )


def _show_learning(reports: list[LearningReport]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("set", "n", "top-1 by quarter of the stream", "1st", "2nd", "3rd", "4th"):
        table.add_column(column, justify="left" if column[:3] in ("set", "top") else "right", no_wrap=True)
    for report in reports:
        for how, shares in (("without learning", report.without), ("learning", report.learning)):
            table.add_row(report.name, str(report.n), how, *(_percent(share) for share in shares))
    _console().print(table)


def _console() -> Console:
    # Where nothing says how wide the output is (a pipe, CI), a column that is cut off helps nobody.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
