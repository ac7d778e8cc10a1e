"""`tool-router services`: the commands of `service-manager`, for who knows only this program."""

from __future__ import annotations

import typer

from service_manager.cli import register as register_commands
from service_manager.cli.listing import show_services
from service_manager.cli.options import AsJson, File
from service_manager.cli.outcome import log_to_stderr


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    services = typer.Typer(
        help="The MCP servers that are run from services.yml: list them, see what they do, control them.",
        invoke_without_command=True,
        pretty_exceptions_enable=False,
    )
    services.callback()(bare)
    register_commands(services)
    app.add_typer(services, name="services")


def bare(context: typer.Context, file: File = None, as_json: AsJson = False) -> None:
    """Without a command, list the services."""
    log_to_stderr()
    if context.invoked_subcommand is None:
        show_services(file, as_json)
