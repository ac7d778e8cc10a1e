"""`tool-router bench` measures the router itself on this machine."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console
from rich.table import Table

from tool_router.cli import bench_balance
from tool_router.cli.bench_figures import kept_figures, save_figures, show_progress
from tool_router.cli.run import AsJson, print_json
from tool_router.evaluation.routing import RoutingReport, measure
from tool_router.telemetry.log import configure

bench = typer.Typer(help="Measure the router itself on this machine.", no_args_is_help=True)
bench_balance.register(bench)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(bench, name="bench")


@bench.command("routing")
def routing(
    tools: Annotated[int, typer.Option("--tools", min=1, help="Size of the made-up catalog.")] = 2375,
    decisions: Annotated[int, typer.Option("--decisions", min=1, help="How many of each kind.")] = 300,
    host_ms: Annotated[
        float, typer.Option("--host-ms", min=0, help="How long the embedding host takes to answer.")
    ] = 20.0,
    save: Annotated[Path | None, typer.Option("--save", help="Keep the figures in a file.")] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="Show the change against kept figures.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure routing decisions: average, p95 and p99 by rung, hit rates and errors."""
    configure("error", "auto")
    before = kept_figures(compare, "times", "kind") if compare else None

    async def run() -> RoutingReport:
        return await measure(tools=tools, decisions=decisions, host_ms=host_ms, on_progress=show_progress)

    report = anyio.run(run)
    if save is not None:
        save_figures(save, asdict(report))
    if as_json:
        print_json(asdict(report) | ({"compared_with": before} if before else {}))
    else:
        _show(report, before)


def _show(report: RoutingReport, before: dict[str, Any] | None) -> None:
    table = Table(box=None, pad_edge=False)
    columns = ["decision", "n", "average ms", "p50", "p95", "p99", "own share", "errors"]
    for column in [*columns, "average before"] if before else columns:
        table.add_column(column, justify="left" if column == "decision" else "right", no_wrap=True)
    for row in report.times:
        cells = [
            row.kind,
            str(row.n),
            *(f"{value:.2f}" for value in (row.average, row.p50, row.p95, row.p99, row.own_average)),
            f"{row.errors:.1%}",
        ]
        if before:
            cells.append(_change(row.average, before.get(row.kind)))
        table.add_row(*cells)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(table)
    rates = ", ".join(f"{rate:.1%} {tier}" for tier, rate in report.hit_rates.items())
    console.print(f"hit rate of the decision cache on a seeded day of work: {rates}")
    console.print(
        f"{report.tools} tools; the host answers in {report.host_ms:.0f} ms, a request waits "
        f"{report.limit_ms:.0f} ms for it at most"
    )


def _change(now: float, before: dict[str, Any] | None) -> str:
    if not before or not before["average"]:
        return "-"
    return f"{before['average']:.2f} ({now / before['average'] - 1:+.0%})"
