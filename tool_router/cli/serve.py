"""`tool-router serve` and `--version`."""

from __future__ import annotations

from typing import Annotated

import typer

from tool_router import __version__


def register(app: typer.Typer) -> None:
    """Add the command and the application's own options."""
    app.callback(invoke_without_command=True)(_main)
    app.command("serve")(_serve)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tool-router {__version__}")
        raise typer.Exit


def _main(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and leave.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """One MCP tool that finds, fills, guards and calls the right tool of every server you have."""


def _serve() -> None:
    """Serve MCP over stdio (what `tool-router` alone does)."""
    from tool_router.server import mcp

    mcp.run()
