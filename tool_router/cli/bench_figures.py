"""Figures of a benchmark that are kept in a file, to compare later ones with."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from tool_router.cli.run import WRONG_USE, fail
from tool_router.errors import DataError


def save_figures(file: Path, figures: Mapping[str, Any]) -> None:
    """Keep what a benchmark prints with --json."""
    file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def kept_figures(file: Path, rows: str, name: str) -> dict[str, Any]:
    """The rows of kept figures.

    Args:
        file: what `save_figures` wrote.
        rows: which member holds them.
        name: which member of a row is its name.

    Raises:
        Exit: the file can't be read, or holds something else; it is said on stderr.
    """
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return {row[name]: row for row in kept[rows]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise fail(
            DataError(f"{file} holds no figures: {error}.", "Write one with --save."), WRONG_USE
        ) from error


def show_progress(what: str) -> None:
    """Tell a person at the terminal what is measured."""
    if sys.stderr.isatty():
        typer.echo(f"measuring: {what}", err=True)
