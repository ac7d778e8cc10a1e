"""The store in one SQLite file, which several routers may share."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from tool_router.cache.codec import decode_tools, encode_tools
from tool_router.cache.database import Database
from tool_router.cache.outcome_rows import add_outcomes, judge_outcome, latest_outcomes
from tool_router.cache.storable import legible, original, storable
from tool_router.cache.store import DAY_S, DECISIONS_KEPT, DECISIONS_KEPT_S, VECTORS_KEPT_S, Store
from tool_router.catalog.model import Catalog
from tool_router.learning.outcome import Outcome, Verdict

T = TypeVar("T")

_ADD_PIN = "INSERT OR IGNORE INTO pins (source, tool_id, fingerprint, seen_at) VALUES (?, ?, ?, ?)"
_ACCEPT_PIN = "INSERT OR REPLACE INTO pins (source, tool_id, fingerprint, seen_at) VALUES (?, ?, ?, ?)"


class SqliteStore(Store):
    """The persistent store in SQLite. Each method runs on one worker thread.

    Being cancelled waits for the statement that runs, so that the connection is never shared.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.time) -> None:
        """Prepare a store; nothing is opened before it is needed.

        Args:
            path: its file; None keeps everything in memory.
            clock: Unix time, in seconds.
        """
        self._database = Database(path)
        self._clock = clock
        self._one_at_a_time = anyio.CapacityLimiter(1)

    async def aclose(self) -> None:
        """See `Store`."""
        await to_thread.run_sync(self._database.close, limiter=self._one_at_a_time)

    @property
    def in_memory(self) -> bool:
        """See `Store`."""
        return self._database.in_memory

    async def load_catalog(self, source: str) -> Catalog | None:
        """See `Store`."""

        def work(connection: sqlite3.Connection) -> Catalog | None:
            row = connection.execute(
                "SELECT fetched_at, tools FROM catalogs WHERE source = ?", (storable(source),)
            ).fetchone()
            return Catalog(decode_tools(row[1]), float(row[0]), source) if row else None

        return await self._run(work)

    async def load_description(self, source: str) -> str | None:
        """See `Store`."""

        def work(connection: sqlite3.Connection) -> str | None:
            row = connection.execute(
                "SELECT description FROM catalogs WHERE source = ?", (storable(source),)
            ).fetchone()
            return row[0] if row else None

        return await self._run(work)

    async def save_catalog(self, catalog: Catalog, description: str) -> None:
        """See `Store`."""

        def work(connection: sqlite3.Connection) -> None:
            source, said = storable(catalog.source), legible(description)
            fetched_at, fingerprint = catalog.fetched_at, catalog.fingerprint
            confirmed = connection.execute(
                "UPDATE catalogs SET fetched_at = max(fetched_at, ?), description = ?"
                " WHERE source = ? AND fingerprint = ?",
                (fetched_at, said, source, fingerprint),
            )
            if confirmed.rowcount == 0:
                connection.execute(
                    "INSERT INTO catalogs (source, fetched_at, fingerprint, description, tools)"
                    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (source) DO UPDATE SET"
                    " fetched_at = excluded.fetched_at, fingerprint = excluded.fingerprint,"
                    " description = excluded.description, tools = excluded.tools"
                    " WHERE excluded.fetched_at >= catalogs.fetched_at",
                    (source, fetched_at, fingerprint, said, encode_tools(catalog.tools)),
                )

        await self._run(work)

    async def vectors(self, model: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """See `Store`."""

        def work(connection: sqlite3.Connection) -> dict[str, bytes]:
            now, wanted = self._clock(), json.dumps(list(hashes))
            rows = connection.execute(
                "SELECT text_hash, dim, vector FROM vectors"
                " WHERE model = ? AND text_hash IN (SELECT value FROM json_each(?))",
                (model, wanted),
            )
            found = {text_hash: vector for text_hash, dim, vector in rows if len(vector) == 4 * dim}
            connection.execute(
                "UPDATE vectors SET used_at = ?"
                " WHERE used_at < ? AND model = ? AND text_hash IN (SELECT value FROM json_each(?))",
                (now, now - DAY_S, model, wanted),
            )
            return found

        return await self._run(work)

    async def save_vectors(self, model: str, vectors: Mapping[str, bytes]) -> None:
        """See `Store`."""

        def work(connection: sqlite3.Connection) -> None:
            now = self._clock()
            with _transaction(connection):
                connection.executemany(
                    "INSERT OR REPLACE INTO vectors (model, text_hash, used_at, dim, vector)"
                    " VALUES (?, ?, ?, ?, ?)",
                    [(model, key, now, len(vector) // 4, vector) for key, vector in vectors.items()],
                )
                connection.execute("DELETE FROM vectors WHERE used_at < ?", (now - VECTORS_KEPT_S,))

        await self._run(work)

    async def pins(self, source: str) -> dict[str, str]:
        """See `Store`."""

        def work(connection: sqlite3.Connection) -> dict[str, str]:
            rows = connection.execute(
                "SELECT tool_id, fingerprint FROM pins WHERE source = ?", (storable(source),)
            )
            return {original(tool_id): fingerprint for tool_id, fingerprint in rows}

        return await self._run(work)

    async def pin(self, source: str, fingerprints: Mapping[str, str], *, accept: bool = False) -> None:
        """See `Store`."""
        statement = _ACCEPT_PIN if accept else _ADD_PIN

        def work(connection: sqlite3.Connection) -> None:
            now, of = self._clock(), storable(source)
            with _transaction(connection):
                connection.executemany(
                    statement,
                    [(of, storable(tool_id), value, now) for tool_id, value in fingerprints.items()],
                )

        await self._run(work)

    async def outcomes(self, source: str, limit: int) -> list[Outcome]:
        """See `Store`."""
        return await self._run(lambda connection: latest_outcomes(connection, source, limit))

    async def add_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """See `Store`."""

        def work(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                add_outcomes(connection, outcomes, self._clock())

        await self._run(work)

    async def judge_outcome(self, outcome_id: str, verdict: Verdict) -> bool:
        """See `Store`."""
        return await self._run(lambda connection: judge_outcome(connection, outcome_id, verdict))

    async def decision(self, key: str) -> bytes | None:
        """See `Store`."""
        oldest = self._clock() - DECISIONS_KEPT_S

        def work(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute(
                "SELECT ranking FROM decisions WHERE key = ? AND at >= ?", (key, oldest)
            ).fetchone()
            return row[0] if row else None

        return await self._run(work)

    async def save_decisions(self, decisions: Mapping[str, bytes]) -> None:
        """See `Store`."""

        def work(connection: sqlite3.Connection) -> None:
            now = self._clock()
            with _transaction(connection):
                connection.executemany(
                    "INSERT OR REPLACE INTO decisions (key, at, ranking) VALUES (?, ?, ?)",
                    [(key, now, ranking) for key, ranking in decisions.items()],
                )
                connection.execute("DELETE FROM decisions WHERE at < ?", (now - DECISIONS_KEPT_S,))
                connection.execute(
                    "DELETE FROM decisions WHERE key IN"
                    " (SELECT key FROM decisions ORDER BY at DESC LIMIT -1 OFFSET ?)",
                    (DECISIONS_KEPT,),
                )

        await self._run(work)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await to_thread.run_sync(self._database.run, work, limiter=self._one_at_a_time)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    """A write transaction, so that a killed process leaves all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back already (disk full); the first error is the one to report.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
