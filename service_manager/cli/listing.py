"""`service-manager list`: what services.yml holds, whether anything runs or not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from service_manager.cli.options import AsJson, File
from service_manager.cli.outcome import print_json, told
from service_manager.cli.setup import Setup, read_setup
from service_manager.config.needs import unavailable_reason
from service_manager.config.pins import lock_pin
from service_manager.model import (
    CommandSource,
    DeploymentSource,
    ImageSource,
    PackageSource,
    ServiceSpec,
    UrlSource,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_command)


def list_command(file: File = None, as_json: AsJson = False) -> None:
    """Show the services: what each is, whether it can run here, how many tools it has."""
    show_services(file, as_json)


def show_services(file: Path | None, as_json: bool) -> None:
    """Print what services.yml holds, as text or as JSON."""
    with told():
        setup = read_setup(file)
        rows = [_row(setup, spec) for spec in setup.specs]
    if as_json:
        print_json({"file": str(setup.file), "services": rows})
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        count = row["tools"]
        tools = "no lock" if count is None else f"{count} tools" if count != 1 else "1 tool"
        typer.echo(f"{row['name']:<{width}}  {tools:>8}  {row['state']:<17}  {row['source']}")
        if row["enabled"] and row["unavailable_reason"]:
            typer.echo(f"{'':<{width}}  {row['unavailable_reason']}")
    typer.echo(f"\nFrom {setup.file}")


def _row(setup: Setup, spec: ServiceSpec) -> dict[str, Any]:
    reason = unavailable_reason(spec, os.environ)
    locked = setup.lock.for_spec(spec)
    installed = setup.resolver.installed(spec) is not None
    return {
        "name": spec.name,
        "source": _source(spec),
        "description": spec.description,
        "enabled": spec.enabled,
        "available": spec.enabled and not reason,
        "unavailable_reason": reason,
        "installed": installed,
        "tools": len(locked.tools) if locked else None,
        "priority": spec.priority,
        "stateless": spec.stateless,
        "state": _state(spec, reason, installed),
    }


def _source(spec: ServiceSpec) -> str:
    match spec.source:
        case PackageSource():
            return lock_pin(spec.source)
        case CommandSource(argv=argv):
            return " ".join(argv)
        case UrlSource(url=url):
            return url
        case ImageSource(image=image):
            return f"image {image}"
        case DeploymentSource(namespace=namespace, deployment=deployment):
            return f"deployment {namespace}/{deployment}"


def _state(spec: ServiceSpec, reason: str, installed: bool) -> str:
    if not spec.enabled:
        return "disabled"
    if reason:
        return "unavailable"
    if isinstance(spec.source, PackageSource):
        return "installed" if installed else "not installed yet"
    return "ready"
