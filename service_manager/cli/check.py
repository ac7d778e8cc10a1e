"""`service-manager check`: whether the services are well."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import typer

from service_manager.cli.daemon import no_daemon, with_daemon
from service_manager.cli.options import AsJson, File
from service_manager.cli.outcome import FAILED, print_json, told
from service_manager.paths import services_file

if TYPE_CHECKING:
    from service_manager.daemon.client import DaemonClient


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(file: File = None, as_json: AsJson = False) -> None:
    """Ask every service that is awake whether it is well; none is woken. Ends with 1 if one is not."""
    path = services_file(file, os.environ)
    with told():

        async def work(client: DaemonClient) -> dict[str, Any]:
            return await client.check()

        found = with_daemon(path, work)
    checks: list[dict[str, Any]] = [] if found is None else found["services"]
    if as_json:
        print_json({"file": str(path), "daemon": found is not None, "services": checks})
    elif found is None:
        typer.echo(no_daemon(path))
    else:
        width = max((len(check["name"]) for check in checks), default=0)
        for check in checks:
            took = "" if check["ms"] is None else f" ({check['ms']:.0f} ms)"
            typer.echo(
                f"{check['name']:<{width}}  {'well' if check['ok'] else 'ILL '}  {check['detail']}{took}"
            )
    if not all(check["ok"] for check in checks):
        raise typer.Exit(FAILED)
