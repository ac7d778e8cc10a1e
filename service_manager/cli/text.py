"""Figures and tables as text: aligned, and without colour where nobody looks. Pure but for the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import typer

UNKNOWN = "-"
"""What stands where a figure is not known."""

GAP = "  "

COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "running": "green",
        "sleeping": "blue",
        "starting": "yellow",
        "waking": "yellow",
        "stopping": "yellow",
        "failed": "red",
        "unavailable": "red",
    }
)
"""The colours of states; the others have none."""


def size(count: float | None) -> str:
    """Bytes for people: ``46.2 MB``; units are powers of 1,024, as in services.yml."""
    if count is None:
        return UNKNOWN
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"


def rate(per_second: float | None) -> str:
    """Bytes per second for people; nothing at all is a zero."""
    return UNKNOWN if per_second is None else "0" if per_second < 0.5 else f"{size(per_second)}/s"


def percent(value: float | None) -> str:
    """A percentage with one digit behind the point."""
    return UNKNOWN if value is None else f"{value:.1f} %"


def milliseconds(value: float | None) -> str:
    """Milliseconds without their unit; small ones with one digit behind the point."""
    return UNKNOWN if value is None else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def one_line(text: str) -> str:
    """Without line breaks and runs of spaces."""
    return " ".join(text.split())


def aligned(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Rows as lines whose columns begin at the same place; the last column is cut at `width`.

    Args:
        rows: of equal length.
        width: how many characters a line may have; None for any number.
    """
    widths = _widths(rows)
    lines: list[str] = []
    for row in rows:
        cells = [f"{cell:<{wide}}" for cell, wide in zip(row, widths, strict=True)]
        line = GAP.join(cells).rstrip()
        if width is not None and len(line) > width:
            line = f"{line[: max(width - 3, 0)]}..."
        lines.append(line)
    return lines


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], state: int) -> list[str]:
    """Lines of a table; where it is a terminal that is written to, as wide as that, and states in colour.

    Args:
        heads: of the columns.
        rows: as long as the heads.
        state: which column is a state.
    """
    everything = [heads, *rows]
    if not sys.stdout.isatty():
        return aligned(everything)
    head, *lines = aligned(everything, shutil.get_terminal_size().columns)
    start = sum(wide + len(GAP) for wide in _widths(everything)[:state])
    return [head, *(_coloured(line, start, row[state]) for line, row in zip(lines, rows, strict=True))]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _coloured(line: str, start: int, state: str) -> str:
    colour, end = COLOURS.get(state), start + len(state)
    if not colour or line[start:end] != state:
        return line
    return f"{line[:start]}{typer.style(state, fg=colour)}{line[end:]}"
