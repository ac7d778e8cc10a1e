"""Outcomes as rows, and what SQLite does with them; bounded, because tasks are other people's words."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from tool_router.cache.storable import original, storable
from tool_router.cache.store import OUTCOMES_KEPT, OUTCOMES_KEPT_S
from tool_router.learning.outcome import Outcome, Verdict

_COLUMNS = "id, at, source, task, category, tool_id, verdict, latency_ms"
VERDICTS = tuple(verdict.value for verdict in Verdict)
"""What this program understands; another version may have stored others."""


def outcome_row(outcome: Outcome) -> tuple[Any, ...]:
    """An outcome as a row, its columns as in `outcome_of`."""
    return (
        storable(outcome.id),
        outcome.at,
        storable(outcome.source),
        storable(outcome.task),
        storable(outcome.category),
        storable(outcome.tool_id),
        outcome.verdict.value,
        outcome.latency_ms,
    )


def outcome_of(row: Sequence[Any]) -> Outcome:
    """The outcome in a row of id, at, source, task, category, tool_id, verdict and latency_ms."""
    id_, at, source, task, category, tool_id, verdict, latency_ms = row
    return Outcome(
        original(id_),
        at,
        original(source),
        original(task),
        original(category),
        original(tool_id),
        Verdict(verdict),
        latency_ms,
    )


def add_outcomes(connection: sqlite3.Connection, outcomes: Sequence[Outcome], now: float) -> None:
    """Insert or replace outcomes and delete those beyond the bounds; inside the caller's transaction."""
    connection.executemany(
        f"INSERT OR REPLACE INTO outcomes ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # constants
        [outcome_row(outcome) for outcome in outcomes],
    )
    for source in {storable(outcome.source) for outcome in outcomes}:
        # Not by the clock alone: one that is wrong in either direction must not delete everything.
        connection.execute(
            "DELETE FROM outcomes WHERE source = ? AND at <"
            " min(?, (SELECT max(at) FROM outcomes WHERE source = ?)) - ?",
            (source, now, source, OUTCOMES_KEPT_S),
        )
        connection.execute(
            "DELETE FROM outcomes WHERE source = ? AND at < (SELECT at FROM outcomes WHERE source = ?"
            " ORDER BY at DESC LIMIT 1 OFFSET ?)",
            (source, source, OUTCOMES_KEPT - 1),
        )


def latest_outcomes(connection: sqlite3.Connection, source: str, limit: int) -> list[Outcome]:
    """The latest outcomes of a gateway, newest first."""
    known = ", ".join("?" * len(VERDICTS))
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM outcomes WHERE source = ? AND verdict IN ({known})"  # noqa: S608  # constants
        " ORDER BY at DESC LIMIT ?",
        (storable(source), *VERDICTS, limit),
    )
    return [outcome_of(row) for row in rows]


def judge_outcome(connection: sqlite3.Connection, outcome_id: str, verdict: Verdict) -> bool:
    """Change a verdict; False when there is no such outcome."""
    changed = connection.execute(
        "UPDATE outcomes SET verdict = ? WHERE id = ?", (verdict.value, storable(outcome_id))
    )
    return changed.rowcount > 0
