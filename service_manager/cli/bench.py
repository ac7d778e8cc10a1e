"""`service-manager bench`: what sleep gives and costs on this machine, on real servers."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console
from rich.table import Table

from service_manager.bench.cycles import Row
from service_manager.bench.run import SERVICES, idle_services, respawn_rows, sleep_rows
from service_manager.bench.swap import disk_speed, swap_file, zram_swap
from service_manager.cli.options import AsJson
from service_manager.cli.outcome import FAILED, print_json, told
from service_manager.config.entry import parse_size
from service_manager.linux.capabilities import missing, probe
from service_manager.model import Priority

MB = 1024**2


def bench(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(SERVICES)}; all of them.")] = None,
    cycles: Annotated[int, typer.Option(help="Wakes of each service.", min=1)] = 30,
    priority: Annotated[
        list[Priority] | None, typer.Option(help="Measure at this priority; may be repeated.")
    ] = None,
    swap: Annotated[
        Path | None, typer.Option("--swap-file", help="Make this swap file first, and remove it.")
    ] = None,
    zram: Annotated[bool, typer.Option("--zram", help="Make swap of compressed memory instead.")] = False,
    swap_size: Annotated[str, typer.Option(help="The size of that swap.")] = "2GB",
    respawn: Annotated[bool, typer.Option(help="Also measure Python services that are forked.")] = True,
    together: Annotated[bool, typer.Option(help="Also measure ten idle services together.")] = True,
    as_json: AsJson = False,
) -> None:
    """Measure wakes and memory of sleeping services: time, git, filesystem, memory, everything and one more.

    Ends with 1 when a figure misses its target: a wake within the target of its priority, at most 40 % of the
    memory asleep, no processor time asleep, nothing lost.
    """
    with told():
        size = parse_size(swap_size)
        block = zram_swap(size) if zram else nullcontext() if swap is None else swap_file(swap, size)
        with block:
            machine = probe()
            disk = disk_speed(swap.parent) if swap is not None and not zram else None
            rows = anyio.run(
                sleep_rows, cycles, names or (), priority or [Priority.NORMAL], os.environ, _progress
            )
            rows += anyio.run(respawn_rows, cycles, os.environ, _progress) if respawn else []
            idle = anyio.run(idle_services, os.environ, _progress) if together else None
    facts = {
        "swap": machine.swap,
        "disk_read_ms": None
        if disk is None
        else {"p50": round(disk.p50_ms, 2), "p95": round(disk.p95_ms, 2)},
        "missing_capability": missing(machine),
        "services": [_facts(row) for row in rows],
        "together": None
        if idle is None
        else {"services": idle[0], "awake": idle[1], "asleep": idle[2], "kept": idle[2] / max(1, idle[1])},
    }
    if as_json:
        print_json(facts)
    else:
        _show(rows, idle, facts)
    if not all(row.reached for row in rows):
        raise typer.Exit(FAILED)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def _facts(row: Row) -> dict[str, Any]:
    return {
        "service": row.service,
        "priority": row.priority,
        "tier": row.tier,
        "cycles": row.cycles,
        "wake_p50_ms": round(row.wake_p50_ms, 1),
        "wake_p95_ms": round(row.wake_p95_ms, 1),
        "warm_p50_ms": round(row.warm_p50_ms, 1),
        "target_ms": row.target_ms,
        "target_met": row.met,
        "awake": row.awake,
        "asleep": row.asleep,
        "kept": round(row.kept, 3),
        "cpu_s_asleep": round(row.cpu_s, 3),
        "intact": row.intact,
    }


def _show(rows: list[Row], idle: tuple[int, int, int] | None, facts: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("service", "priority", "tier"):
        table.add_column(name)
    for name in (
        "wake p50",
        "p95 ms",
        "target",
        "warm p50",
        "awake MB",
        "asleep MB",
        "kept",
        "cpu s",
        "intact",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.service,
            row.priority,
            row.tier,
            f"{row.wake_p50_ms:.1f}",
            f"{row.wake_p95_ms:.1f}",
            f"{row.target_ms:.0f}{'' if row.met else ' missed'}",
            f"{row.warm_p50_ms:.1f}",
            f"{row.awake / MB:.1f}",
            f"{row.asleep / MB:.1f}",
            f"{row.kept:.0%}",
            f"{row.cpu_s:.2f}",
            "yes" if row.intact else "NO",
        )
    console = Console(width=None if sys.stdout.isatty() else 130)
    console.print(table)
    if idle is not None:
        count, awake, asleep = idle
        share = asleep / max(1, awake)
        console.print(
            f"{count} idle services: {awake / MB:.0f} MB always on, {asleep / MB:.0f} MB asleep ({share:.0%})"
        )
    swap = f"Swap: {facts['swap']}"
    if read_ms := facts["disk_read_ms"]:
        swap += f", which reads a page in {read_ms['p50']:.1f} ms (p95 {read_ms['p95']:.1f})"
    console.print(f"{swap}. {facts['missing_capability']}".strip())


def _progress(what: str) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r\033[K{what}", err=True, nl=False)
