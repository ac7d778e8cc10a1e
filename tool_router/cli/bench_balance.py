"""`tool-router bench balance` measures how fast targets are chosen and outcomes recorded on this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tool_router.cli.bench_figures import kept_figures, save_figures, show_progress
from tool_router.cli.run import AsJson, print_json
from tool_router.evaluation.balancing import (
    DECISIONS,
    LEAST_PER_SECOND,
    MOST_DECISION_US,
    MOST_RECORDING_US,
    TARGETS,
    BalancingReport,
    measure_balancing,
)

MISSED = 1
"""Exit code when something is slower than promised."""


def register(bench: typer.Typer) -> None:
    """Add the command."""
    bench.command("balance")(balance)


def balance(
    decisions: Annotated[
        int, typer.Option("--decisions", min=100, help="How many of each strategy.")
    ] = DECISIONS,
    save: Annotated[Path | None, typer.Option("--save", help="Keep the figures in a file.")] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="Show the change against kept figures.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast each strategy chooses among targets; exit 1 when one is slower than promised."""
    before = kept_figures(compare, "decisions", "strategy") if compare else None
    report = measure_balancing(decisions, show_progress)
    if save is not None:
        save_figures(save, report.to_json())
    if as_json:
        print_json(report.to_json() | ({"compared_with": before} if before else {}))
    else:
        _show(report, before)
    if not report.reached:
        raise typer.Exit(MISSED)


def _show(report: BalancingReport, before: Mapping[str, Any] | None) -> None:
    table = Table(box=None, pad_edge=False)
    columns = ["strategy", "decisions/s", "p50 us", "p99 us", "max us", "promise"]
    for column in [*columns, "decisions/s before"] if before else columns:
        table.add_column(column, justify="left" if column == "strategy" else "right", no_wrap=True)
    for speed in report.decisions:
        cells = [
            speed.strategy,
            f"{speed.per_second:,.0f}",
            *(f"{value:.1f}" for value in (speed.p50_us, speed.p99_us, speed.max_us)),
            _verdict(reached=speed.reached),
        ]
        if before:
            cells.append(_change(speed.per_second, before.get(speed.strategy)))
        table.add_row(*cells)
    recording = report.recording
    cells = [f"{value:.1f}" for value in (recording.p50_us, recording.p99_us, recording.max_us)]
    table.add_row("recording an outcome", "-", *cells, _verdict(reached=recording.reached))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(
        f"among {TARGETS} targets; promised are {LEAST_PER_SECOND:,.0f} decisions in a second of a core's "
        f"time,\n{MOST_DECISION_US:.0f} us at p99, and {MOST_RECORDING_US:.0f} us at p50 for recording"
    )


def _verdict(*, reached: bool) -> str:
    return "reached" if reached else "missed"


def _change(now: float, before: Mapping[str, Any] | None) -> str:
    if not before or not before.get("per_second"):
        return "-"
    return f"{before['per_second']:,.0f} ({now / before['per_second'] - 1:+.0%})"
