"""How commands run: settings loaded, logs configured, errors told in words, an exit code for each outcome."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import anyio
import typer

from service_manager.errors import ServiceManagerError
from tool_router.app import AppContext, open_app
from tool_router.config import Settings
from tool_router.config_file import load_settings
from tool_router.errors import ToolRouterError
from tool_router.telemetry.log import configure

T = TypeVar("T")

FAILED = 1
"""Exit code: what was asked for was tried and failed."""
WRONG_USE = 2
"""Exit code: the command line or the configuration is wrong."""
ASKS_BACK = 3
"""Exit code: nothing was executed; the answer says what is needed."""

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="router.yml to use instead of the usual one.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def settings_or_exit(config: Path | None) -> Settings:
    """The settings, with logs configured; a wrong configuration ends the command with what to do."""
    try:
        settings = load_settings(config, os.environ)
    except (ToolRouterError, ServiceManagerError) as error:
        raise fail(error, WRONG_USE) from error
    level = "warning" if settings.log.level == "info" else settings.log.level
    configure(level, settings.log.format)
    return settings


def with_app(config: Path | None, work: Callable[[AppContext], Awaitable[T]]) -> T:
    """Run a router for the time of `work` and return what it returned."""
    settings = settings_or_exit(config)

    async def main() -> T | ToolRouterError | ServiceManagerError:
        try:
            async with open_app(settings, os.environ) as app:
                try:
                    return await work(app)
                except (ToolRouterError, ServiceManagerError) as error:
                    return error
        except (ToolRouterError, ServiceManagerError) as error:
            return error

    outcome = anyio.run(main)
    if isinstance(outcome, ToolRouterError | ServiceManagerError):
        raise fail(outcome, FAILED) from outcome
    return outcome


def fail(error: Exception, code: int) -> typer.Exit:
    """Tell an error on stderr; the returned exit is to be raised."""
    typer.echo(f"tool-router: {error}", err=True)
    return typer.Exit(code)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write("\n")
