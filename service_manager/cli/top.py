"""`service-manager top`: what the services and the machine use, again and again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from service_manager.cli.daemon import no_daemon, read_services, start_hint, with_daemon
from service_manager.cli.options import AsJson, File
from service_manager.cli.outcome import FAILED, print_json, tell, told
from service_manager.cli.text import percent, rate, size, table
from service_manager.errors import DaemonError

if TYPE_CHECKING:
    from service_manager.daemon.client import DaemonClient

Json = dict[str, Any]

HEADS = ("SERVICE", "STATE", "CPU", "MEMORY", "SWAP", "READ", "WRITTEN", "RECEIVED", "SENT", "PROCS", "NOTE")

INTERVAL_S = 2.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(top)


def top(
    interval: Annotated[float, typer.Option("--interval", min=0.1, help="Seconds between readings.")] = (
        INTERVAL_S
    ),
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Show what each service uses, and what is not as usual, until interrupted.

    CPU is in percent of one processor. MEMORY is what a service keeps others from having: its proportional
    set size, and what its swapped pages take in zram. With --json there is one document for each reading.
    """
    with told():
        services = read_services(file)

        async def watch(client: DaemonClient) -> bool:
            with _shower(as_json, live=not once and not as_json and sys.stdout.isatty()) as show:
                usage = await _usage(client)
                if once and not _rated(usage):
                    # There are no rates before a second reading.
                    await anyio.sleep(interval)
                    usage = await _usage(client)
                show(usage)
                while not once:
                    await anyio.sleep(interval)
                    show(await _usage(client))
            return True

        # An interrupt is how watching ends.
        with suppress(KeyboardInterrupt):
            if with_daemon(services.file, watch) is None:
                tell(f"{no_daemon(services.file)} {start_hint(())}")
                raise typer.Exit(FAILED)


async def _usage(client: DaemonClient) -> Json:
    """What the daemon's monitor knows.

    Raises:
        DaemonError: it has no monitor.
    """
    usage = await client.usage()
    if "machine" not in usage or "interval_s" not in usage:
        raise DaemonError(
            "The daemon does not watch what its services use; it is of another version.",
            "Run `service-manager shutdown`; the next one does.",
        )
    return usage


def _rated(usage: Json) -> bool:
    """Whether every service that has processes has rates."""
    rows: list[Json] = list(usage["services"].values())
    return all(row["cpu_percent"] is not None for row in rows if row["processes"])


@contextmanager
def _shower(as_json: bool, *, live: bool) -> Generator[Callable[[Json], None]]:
    """What shows a reading: JSON, a screen that is written anew, or one table after another."""
    if as_json:
        yield print_json
    elif live:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        with Live(console=Console(), screen=True, auto_refresh=False, redirect_stdout=False) as screen:
            yield lambda usage: screen.update(Text.from_ansi("\n".join(lines(usage))), refresh=True)
    else:
        yield lambda usage: typer.echo("\n".join([*lines(usage), ""]))


def lines(usage: Json) -> list[str]:
    """One reading as text: the machine, then a table of the services."""
    rows = [_cells(name, row) for name, row in usage["services"].items()]
    machine: Json | None = usage["machine"]
    return [*([_machine(machine)] if machine else []), *table(HEADS, rows, state=1)]


def _machine(machine: Json) -> str:
    memory = f"{size(machine['memory_used'])} of {size(machine['memory_total'])}"
    swap = f"{size(machine['swap_used'])} of {size(machine['swap_total'])}"
    cpu = f"{percent(machine['cpu_percent'])} of {machine['processors']} processors"
    return f"CPU {cpu}   memory {memory}   swap {swap}"


def _cells(name: str, row: Json) -> tuple[str, ...]:
    memory: Mapping[str, int] = row["memory"] or {}
    return (
        name,
        row["state"],
        percent(row["cpu_percent"]),
        size(memory.get("held")),
        size(memory.get("swap")),
        rate(row["disk_read"]),
        rate(row["disk_written"]),
        rate(row["received"]),
        rate(row["sent"]),
        str(row["processes"]),
        "; ".join(_note(anomaly) for anomaly in row["anomalies"]),
    )


def _note(anomaly: Json) -> str:
    metric = anomaly["metric"]
    if metric == "cpu_percent":
        return f"CPU {percent(anomaly['value'])}, usually {percent(anomaly['usual'])}"
    figure = size if metric == "memory" else rate
    return f"{metric} {figure(anomaly['value'])}, usually {figure(anomaly['usual'])}"
