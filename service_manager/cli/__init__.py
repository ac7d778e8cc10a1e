"""`service-manager`: the services of services.yml, what is known of them and what is done with them.

Every command that prints data takes --json. Exit codes: 0 done, 1 tried and failed, 2 the command line or the
configuration is wrong.
"""

from __future__ import annotations

import typer

from service_manager.cli import (
    bench,
    check,
    contextforge,
    control,
    listing,
    logs,
    packages,
    probe,
    serve,
    status,
    top,
    validate,
)
from service_manager.cli.outcome import log_to_stderr

app = typer.Typer(
    name="service-manager",
    help="Run MCP servers from pinned packages, put them to sleep and wake them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


COMMANDS = (listing, status, top, logs, control, check, serve, contextforge, validate, packages, probe, bench)


def register(app: typer.Typer) -> None:
    """Add every command."""
    for module in COMMANDS:
        module.register(app)


def main() -> None:
    """Entry point of the console script."""
    log_to_stderr()
    app()


register(app)

__all__ = ["app", "main", "register"]
