"""`service-manager logs`: what a service wrote to stderr."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from service_manager.cli.daemon import no_daemon, read_services, start_hint, with_daemon
from service_manager.cli.options import AsJson, LongFile
from service_manager.cli.outcome import FAILED, print_json, tell, told
from service_manager.cli.setup import chosen
from service_manager.journal import LINES

if TYPE_CHECKING:
    from service_manager.daemon.client import DaemonClient

FOLLOW_S = 0.5
"""How often new lines are asked for."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(logs)


def logs(
    name: Annotated[str, typer.Argument(help="The service.")],
    lines: Annotated[
        int, typer.Option("-n", "--lines", min=0, max=LINES, help="How many of the last lines.")
    ] = 50,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until interrupted.")] = False,
    file: LongFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the last lines a service wrote to stderr, over all of its runs since the daemon started.

    With --follow and --json each line is one JSON string.
    """
    with told():
        services = read_services(file)
        chosen(services.specs, [name])

        async def last(client: DaemonClient) -> dict[str, Any]:
            found = await client.logs(name, lines, None)
            if not follow:
                return found
            while True:
                _print(found["lines"], as_json)
                await anyio.sleep(FOLLOW_S)
                found = await client.logs(name, LINES, found["written"])

        # An interrupt is how following ends.
        with suppress(KeyboardInterrupt):
            found = with_daemon(services.file, last)
            if found is None:
                tell(f"{no_daemon(services.file)} {start_hint([name])}")
                raise typer.Exit(FAILED)
            if as_json:
                print_json({"name": name, "lines": found["lines"], "written": found["written"]})
            else:
                _print(found["lines"], as_json=False)


def _print(lines: list[str], as_json: bool) -> None:
    for line in lines:
        typer.echo(json.dumps(line, ensure_ascii=False) if as_json else line)
