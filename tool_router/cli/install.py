"""`tool-router install` puts the router into an MCP client's configuration, and takes it out again."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from service_manager.paths import user_home
from tool_router.cli.run import FAILED, WRONG_USE, AsJson, fail, print_json
from tool_router.errors import InstallError
from tool_router.install.change import Change, plan_install, plan_undo
from tool_router.install.clients import NEXT_STEPS, TITLES, Client, Location, Machine, Scope, entry, locate
from tool_router.install.launch import own_command

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_DONE = {
    "added": "{name} was added to {file}",
    "updated": "{name} was brought up to date in {file}",
    "replaced": "{name} in {file} started something else and was replaced",
    "unchanged": "{name} is in {file} already; nothing was changed",
    "removed": "{name} was removed from {file}",
    "restored": "{name} in {file} is again what it was before",
    "nothing": "{name} is not in {file}; nothing was changed",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("install")(install)


def install(
    client: Annotated[Client, typer.Argument(help="Whose configuration to change.", show_default=False)],
    scope: Annotated[
        Scope, typer.Option(help="For you everywhere, for everyone in the project, or for you in it.")
    ] = Scope.USER,
    project: Annotated[
        Path | None, typer.Option(help="The project's directory; the current one by default.")
    ] = None,
    name: Annotated[str, typer.Option(help="The name of the entry.")] = "tool-router",
    env: Annotated[
        list[str] | None,
        typer.Option(
            help="A variable for the router: NAME=VALUE writes the value, NAME alone refers to the client's "
            "own environment. Repeat it for more."
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Change this file instead of the client's usual one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be changed.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take the entry out; what was there before comes back.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the router's entry into a client's configuration: merged, with a backup, the rest untouched."""
    if not name.strip():
        raise fail(InstallError("The entry needs a name.", "Leave --name out, or give one."), WRONG_USE)
    variables = dict(_variable(text) for text in env or ())
    here = (project or Path.cwd()).absolute()
    machine = Machine(sys.platform, user_home(os.environ), os.environ, here)
    try:
        usual = locate(client, scope, machine)
        ours = entry(client, own_command(), variables)
    except InstallError as error:
        raise fail(error, WRONG_USE) from error
    location = Location(file.absolute(), usual.section, usual.comments) if file else usual
    try:
        change = plan_undo(client, location, name) if undo else plan_install(client, location, name, ours)
        backup = None if dry_run else change.apply()
    except InstallError as error:
        raise fail(error, FAILED) from error
    if as_json:
        _print_facts(client, scope, name, change, backup, dry_run=dry_run)
    elif dry_run:
        _show_plan(client, name, change)
    else:
        _tell(client, scope, name, change, backup)


def _variable(text: str) -> tuple[str, str | None]:
    variable, given, value = text.partition("=")
    if not _VARIABLE.fullmatch(variable):
        error = InstallError(f"--env {text!r} names no variable.", "Write --env NAME=VALUE, or --env NAME.")
        raise fail(error, WRONG_USE)
    return variable, value if given else None


def _show_plan(client: Client, name: str, change: Change) -> None:
    if not change.changes:
        typer.echo(_DONE[change.action].format(name=name, file=change.file))
        return
    typer.echo(change.diff())
    typer.echo(f"Nothing was changed. Without --dry-run, {TITLES[client]}'s file becomes this.", err=True)


def _tell(client: Client, scope: Scope, name: str, change: Change, backup: Path | None) -> None:
    typer.echo(f"{TITLES[client]}: {_DONE[change.action].format(name=name, file=change.file)}")
    if backup is not None:
        typer.echo(f"The file as it was: {backup}")
    if scope is Scope.PROJECT and change.entry is not None:
        typer.echo("The entry names this machine's path: it suits others only where theirs is the same.")
    if change.changes:
        typer.echo(NEXT_STEPS[client])


def _print_facts(
    client: Client, scope: Scope, name: str, change: Change, backup: Path | None, *, dry_run: bool
) -> None:
    print_json(
        {
            "client": client.value,
            "scope": scope.value,
            "name": name,
            "file": str(change.file),
            "action": change.action,
            "changed": change.changes and not dry_run,
            "dry_run": dry_run,
            "backup": str(backup) if backup else None,
            "entry": change.entry,
            "diff": change.diff(),
            "next_step": NEXT_STEPS[client] if change.changes else "",
        }
    )
