"""`service-manager probe`: what this machine lets services sleep with, and how to get what it lacks."""

from __future__ import annotations

from dataclasses import asdict

import typer

from service_manager.cli.options import AsJson
from service_manager.cli.outcome import print_json
from service_manager.cli.text import aligned, size
from service_manager.linux.capabilities import missing, tiers_possible
from service_manager.linux.capabilities import probe as probe_machine
from service_manager.model import Tier


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(probe)


def probe(as_json: AsJson = False) -> None:
    """Show how services can sleep here: swap, capabilities, control groups, and the tiers these allow."""
    found = probe_machine()
    kept = tiers_possible(found)
    tiers = [tier.value for tier in (Tier.WARM, *kept, Tier.RESPAWN)]
    if not found.checkpoint:
        tiers.append(Tier.CHECKPOINT.value)
    lacking = missing(found)
    if as_json:
        print_json({**asdict(found), "tiers": tiers, "missing_capability": lacking})
        return
    swap = f"{found.swap.value}, {size(found.swap_free)} of {size(found.swap_size)} free"
    groups = f"version {found.cgroup}, {'writable' if found.cgroup_writable else 'not writable'}"
    rows = [
        ("platform", found.platform),
        ("swap", swap if found.swap_size else found.swap.value),
        ("page out others", _yes(found.process_madvise and found.nice)),
        ("read others' memory", _yes(found.peek)),
        ("control groups", groups if found.cgroup else "none"),
        ("checkpoints", found.checkpoint or "yes"),
        ("tiers", ", ".join(tiers)),
    ]
    for line in aligned(rows):
        typer.echo(line)
    if lacking:
        typer.echo(f"\n{lacking}")


def _yes(held: bool) -> str:
    return "yes" if held else "no"
