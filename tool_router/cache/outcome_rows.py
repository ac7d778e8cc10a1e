"""Outcomes as rows of the store; bounded, because tasks are other people's words."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tool_router.cache.store import OUTCOMES_KEPT
from tool_router.learning.outcome import Outcome, Verdict

_COLUMNS = "id, at, source, task, category, tool_id, verdict, latency_ms"


def add_outcomes(connection: sqlite3.Connection, outcomes: Sequence[Outcome]) -> None:
    """Insert or replace outcomes and drop the oldest beyond a bound; inside the caller's transaction."""
    connection.executemany(
        f"INSERT OR REPLACE INTO outcomes ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # constants
        [
            (o.id, o.at, o.source, o.task, o.category, o.tool_id, o.verdict.value, o.latency_ms)
            for o in outcomes
        ],
    )
    for source in {outcome.source for outcome in outcomes}:
        connection.execute(
            "DELETE FROM outcomes WHERE source = ? AND at < (SELECT at FROM outcomes WHERE source = ?"
            " ORDER BY at DESC LIMIT 1 OFFSET ?)",
            (source, source, OUTCOMES_KEPT - 1),
        )


def latest_outcomes(connection: sqlite3.Connection, source: str, limit: int) -> list[Outcome]:
    """The latest outcomes of a gateway, newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM outcomes WHERE source = ? ORDER BY at DESC LIMIT ?",  # noqa: S608  # constants
        (source, limit),
    )
    return [
        Outcome(id_, at, of, task, category, tool_id, Verdict(verdict), latency_ms)
        for id_, at, of, task, category, tool_id, verdict, latency_ms in rows
    ]


def judge_outcome(connection: sqlite3.Connection, outcome_id: str, verdict: Verdict) -> bool:
    """Change a verdict; False when there is no such outcome."""
    changed = connection.execute("UPDATE outcomes SET verdict = ? WHERE id = ?", (verdict.value, outcome_id))
    return changed.rowcount > 0
