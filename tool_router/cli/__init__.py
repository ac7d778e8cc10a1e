"""The command line. Every command that prints data takes --json; errors go to stderr with what to do."""

from __future__ import annotations

import typer

from tool_router.cli import (
    bench,
    calls,
    doctor,
    evaluate,
    feedback,
    install,
    listing,
    pins,
    serve,
    services,
    status,
    targets,
)

app = typer.Typer(
    name="tool-router",
    help="One MCP tool that finds, fills, guards and calls the right tool of every server you have. "
    "Without a command it serves MCP over stdio.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)

COMMANDS = (
    serve,
    calls,
    listing,
    services,
    status,
    doctor,
    pins,
    targets,
    feedback,
    evaluate,
    bench,
    install,
)

for module in COMMANDS:
    module.register(app)

__all__ = ["app"]
