"""`service-manager status`: what each service does now, how it sleeps and what a wake takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service_manager.cli.daemon import Services, no_daemon, read_services, start_hint, with_daemon
from service_manager.cli.options import AsJson, File
from service_manager.cli.outcome import print_json, tell, told
from service_manager.cli.setup import chosen
from service_manager.cli.text import UNKNOWN, milliseconds, one_line, size, table
from service_manager.config.needs import unavailable_reason
from service_manager.daemon.view import status_view
from service_manager.model import ServiceSpec, State
from service_manager.status import ServiceStatus

if TYPE_CHECKING:
    from service_manager.daemon.client import DaemonClient

Json = dict[str, Any]

HEADS = ("SERVICE", "STATE", "TIER", "MEMORY", "WAKE P95", "WHY")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    names: Annotated[list[str] | None, typer.Argument(help="Services; all when none is named.")] = None,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Show what each service does now: state, sleep tier, memory awake and asleep, wakes, last failure.

    The memory is that of the last sleep; wakes are shown against their target, in milliseconds.
    """
    with told():
        services = read_services(file)
        specs = chosen(services.specs, names)

        async def ask(client: DaemonClient) -> list[Json]:
            return await client.services()

        known = with_daemon(services.file, ask)
        rows = [_row(spec, known) for spec in specs]
    if as_json:
        print_json({"file": str(services.file), "daemon": known is not None, "services": rows})
        return
    for line in table(HEADS, [_cells(row) for row in rows], state=1):
        typer.echo(line)
    if known is None:
        _tell_no_daemon(services)


def _tell_no_daemon(services: Services) -> None:
    startable = [
        spec.name for spec in services.specs if spec.enabled and not unavailable_reason(spec, os.environ)
    ]
    tell(f"{no_daemon(services.file)} {start_hint(startable[:1])}")


def _row(spec: ServiceSpec, known: list[Json] | None) -> Json:
    """A service as the daemon knows it, or as its file says where no daemon runs it."""
    found = next((row for row in known or () if row["name"] == spec.name), None)
    if found is not None:
        return found | _measured(found["sleeping"])
    reason = unavailable_reason(spec, os.environ) if spec.enabled else ""
    row = status_view(ServiceStatus(spec.name, State.STOPPED, spec.priority, reason))
    state = State.STOPPED.value if spec.enabled else "disabled"
    return row | {"state": state} | _measured(row["sleeping"])


def _measured(sleeping: Mapping[str, Any]) -> Json:
    """How it sleeps and what that was measured to cost, under the names of the design's sleep report."""
    awake, asleep, wake = (_part(sleeping, key) for key in ("awake", "asleep", "last_wake"))
    return {
        "tier": sleeping["tier"],
        "tier_reason": sleeping["reason"],
        "wake_ms": {step: wake.get(f"{step}_ms") for step in ("resume", "replay", "first_call")},
        "pss_before": awake.get("pss"),
        "pss_after": asleep.get("pss"),
        "swap": asleep.get("swap"),
        "compressed": asleep.get("compressed"),
        "target_ms": wake.get("target_ms"),
        "target_met": wake.get("target_met"),
        "missing_capability": sleeping["missing_capability"],
    }


def _cells(row: Json) -> tuple[str, ...]:
    if row["unavailable_reason"]:
        return (row["name"], "unavailable", UNKNOWN, UNKNOWN, UNKNOWN, one_line(row["unavailable_reason"]))
    sleeping: Json = row["sleeping"]
    return (
        row["name"],
        row["state"],
        sleeping["tier"] if sleeping["reason"] else UNKNOWN,
        _memory(sleeping),
        _wakes(sleeping),
        _why(row, sleeping),
    )


def _memory(sleeping: Json) -> str:
    """Awake and asleep: the physical memory, with what a sleeper's pages take in zram."""
    awake, asleep = _part(sleeping, "awake"), _part(sleeping, "asleep")
    if not awake or not asleep:
        return UNKNOWN
    return f"{size(awake['held'])} -> {size(asleep['held'])}"


def _wakes(sleeping: Json) -> str:
    if sleeping["wake_p95_ms"] is None:
        return UNKNOWN
    target = _part(sleeping, "last_wake").get("target_ms")
    missed = f", {sleeping['missed']} missed" if sleeping["missed"] else ""
    return f"{milliseconds(sleeping['wake_p95_ms'])} / {milliseconds(target)} ms{missed}"


def _why(row: Json, sleeping: Json) -> str:
    said = [f"Failed: {row['failure']}" if row["failure"] else "", sleeping["reason"]]
    return one_line(" ".join(part for part in said if part)) or UNKNOWN


def _part(whole: Mapping[str, Any], key: str) -> Json:
    """What is below a key; nothing where there is nothing yet."""
    return whole.get(key) or {}
