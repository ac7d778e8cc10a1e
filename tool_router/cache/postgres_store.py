"""The store in a PostgreSQL database, which the routers of a team share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tool_router.cache.codec import decode_tools, encode_tools
from tool_router.cache.outcome_rows import VERDICTS, outcome_of, outcome_row
from tool_router.cache.postgres_pool import PostgresPool
from tool_router.cache.postgres_schema import Connection
from tool_router.cache.storable import legible, original, storable
from tool_router.cache.store import (
    DAY_S,
    DECISIONS_KEPT,
    DECISIONS_KEPT_S,
    OUTCOMES_KEPT,
    OUTCOMES_KEPT_S,
    VECTORS_KEPT_S,
    Store,
)
from tool_router.catalog.model import Catalog
from tool_router.learning.outcome import Outcome, Verdict

_CONFIRM_CATALOG: Final = (
    "UPDATE catalogs SET fetched_at = greatest(fetched_at, %s), description = %s"
    " WHERE source = %s AND fingerprint = %s"
)
_SAVE_CATALOG: Final = (
    "INSERT INTO catalogs (source, fetched_at, fingerprint, description, tools)"
    " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (source) DO UPDATE SET"
    " fetched_at = excluded.fetched_at, fingerprint = excluded.fingerprint,"
    " description = excluded.description, tools = excluded.tools"
    " WHERE excluded.fetched_at >= catalogs.fetched_at"
)
_SAVE_VECTOR: Final = (
    "INSERT INTO vectors (model, text_hash, used_at, dim, vector) VALUES (%s, %s, %s, %s, %s)"
    " ON CONFLICT (model, text_hash) DO UPDATE SET"
    " used_at = excluded.used_at, dim = excluded.dim, vector = excluded.vector"
)
_ADD_PIN: Final = (
    "INSERT INTO pins (source, tool_id, fingerprint, seen_at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_ACCEPT_PIN: Final = (
    "INSERT INTO pins (source, tool_id, fingerprint, seen_at) VALUES (%s, %s, %s, %s)"
    " ON CONFLICT (source, tool_id) DO UPDATE SET"
    " fingerprint = excluded.fingerprint, seen_at = excluded.seen_at"
)
_SAVE_OUTCOME: Final = (
    "INSERT INTO outcomes (id, at, source, task, category, tool_id, verdict, latency_ms)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET"
    " at = excluded.at, source = excluded.source, task = excluded.task, category = excluded.category,"
    " tool_id = excluded.tool_id, verdict = excluded.verdict, latency_ms = excluded.latency_ms"
)
_DELETE_OLD_OUTCOMES: Final = (
    "DELETE FROM outcomes WHERE source = %s AND at <"
    " least(%s, (SELECT max(at) FROM outcomes WHERE source = %s)) - %s"
)
_DELETE_OUTCOMES_BEYOND: Final = (
    "DELETE FROM outcomes WHERE source = %s AND at <"
    " (SELECT at FROM outcomes WHERE source = %s ORDER BY at DESC LIMIT 1 OFFSET %s)"
)
_SAVE_DECISION: Final = (
    "INSERT INTO decisions (key, at, ranking) VALUES (%s, %s, %s)"
    " ON CONFLICT (key) DO UPDATE SET at = excluded.at, ranking = excluded.ranking"
)
_PRUNE_DECISIONS: Final = (
    "DELETE FROM decisions WHERE key IN (SELECT key FROM decisions ORDER BY at DESC OFFSET %s)"
)


class PostgresStore(Store):
    """The persistent store in PostgreSQL. Being cancelled does not wait for the statement that runs.

    Args:
        url: the database.
        clock: Unix time, in seconds.

    Raises:
        ConfigError: the address can't be read.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._pool = PostgresPool(url)
        self._clock = clock

    async def aclose(self) -> None:
        """See `Store`."""
        await self._pool.aclose()

    @property
    def in_memory(self) -> bool:
        """See `Store`."""
        return False

    async def load_catalog(self, source: str) -> Catalog | None:
        """See `Store`."""
        key = storable(source)

        def work(connection: Connection) -> tuple[float, bytes] | None:
            rows = connection.execute("SELECT fetched_at, tools FROM catalogs WHERE source = %s", (key,))
            row = rows.fetchone()
            return (row[0], row[1]) if row else None

        found = await self._pool.run(work)
        return Catalog(decode_tools(found[1]), found[0], source) if found else None

    async def load_description(self, source: str) -> str | None:
        """See `Store`."""
        key = storable(source)

        def work(connection: Connection) -> str | None:
            rows = connection.execute("SELECT description FROM catalogs WHERE source = %s", (key,))
            row = rows.fetchone()
            return row[0] if row else None

        return await self._pool.run(work)

    async def save_catalog(self, catalog: Catalog, description: str) -> None:
        """See `Store`."""
        source, said = storable(catalog.source), legible(description)

        def work(connection: Connection) -> None:
            at, fingerprint = catalog.fetched_at, catalog.fingerprint
            confirmed = connection.execute(_CONFIRM_CATALOG, (at, said, source, fingerprint))
            if confirmed.rowcount == 0:
                tools = encode_tools(catalog.tools)
                connection.execute(_SAVE_CATALOG, (source, at, fingerprint, said, tools))

        await self._pool.run(work)

    async def vectors(self, model: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """See `Store`."""
        now, wanted = self._clock(), list(hashes)

        def work(connection: Connection) -> dict[str, bytes]:
            rows = connection.execute(
                "SELECT text_hash, dim, vector FROM vectors WHERE model = %s AND text_hash = ANY(%s)",
                (model, wanted),
            )
            found = {text_hash: vector for text_hash, dim, vector in rows if len(vector) == 4 * dim}
            connection.execute(
                "UPDATE vectors SET used_at = %s WHERE used_at < %s AND model = %s AND text_hash = ANY(%s)",
                (now, now - DAY_S, model, wanted),
            )
            return found

        return await self._pool.run(work)

    async def save_vectors(self, model: str, vectors: Mapping[str, bytes]) -> None:
        """See `Store`."""
        now = self._clock()
        # In one order everywhere: two routers that write the same rows then never wait for each other.
        rows = [(model, key, now, len(vector) // 4, vector) for key, vector in sorted(vectors.items())]

        def work(connection: Connection) -> None:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(_SAVE_VECTOR, rows)
                cursor.execute("DELETE FROM vectors WHERE used_at < %s", (now - VECTORS_KEPT_S,))

        await self._pool.run(work)

    async def pins(self, source: str) -> dict[str, str]:
        """See `Store`."""
        key = storable(source)

        def work(connection: Connection) -> dict[str, str]:
            rows = connection.execute("SELECT tool_id, fingerprint FROM pins WHERE source = %s", (key,))
            return {original(tool_id): fingerprint for tool_id, fingerprint in rows}

        return await self._pool.run(work)

    async def pin(self, source: str, fingerprints: Mapping[str, str], *, accept: bool = False) -> None:
        """See `Store`."""
        now = self._clock()
        of = storable(source)
        rows = [(of, storable(tool), value, now) for tool, value in sorted(fingerprints.items())]

        def work(connection: Connection) -> None:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(_ACCEPT_PIN if accept else _ADD_PIN, rows)

        await self._pool.run(work)

    async def outcomes(self, source: str, limit: int) -> list[Outcome]:
        """See `Store`."""
        key = storable(source)

        def work(connection: Connection) -> list[Outcome]:
            rows = connection.execute(
                "SELECT id, at, source, task, category, tool_id, verdict, latency_ms FROM outcomes"
                " WHERE source = %s AND verdict = ANY(%s) ORDER BY at DESC LIMIT %s",
                (key, list(VERDICTS), limit),
            )
            return [outcome_of(row) for row in rows]

        return await self._pool.run(work)

    async def add_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """See `Store`."""
        now = self._clock()
        rows = [outcome_row(outcome) for outcome in sorted(outcomes, key=lambda outcome: outcome.id)]
        sources = sorted({storable(outcome.source) for outcome in outcomes})

        def work(connection: Connection) -> None:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(_SAVE_OUTCOME, rows)
                for source in sources:
                    cursor.execute(_DELETE_OLD_OUTCOMES, (source, now, source, OUTCOMES_KEPT_S))
                    cursor.execute(_DELETE_OUTCOMES_BEYOND, (source, source, OUTCOMES_KEPT - 1))

        await self._pool.run(work)

    async def judge_outcome(self, outcome_id: str, verdict: Verdict) -> bool:
        """See `Store`."""
        key = storable(outcome_id)

        def work(connection: Connection) -> bool:
            changed = connection.execute(
                "UPDATE outcomes SET verdict = %s WHERE id = %s", (verdict.value, key)
            )
            return changed.rowcount > 0

        return await self._pool.run(work)

    async def decision(self, key: str) -> bytes | None:
        """See `Store`."""
        oldest = self._clock() - DECISIONS_KEPT_S

        def work(connection: Connection) -> bytes | None:
            rows = connection.execute(
                "SELECT ranking FROM decisions WHERE key = %s AND at >= %s", (key, oldest)
            )
            row = rows.fetchone()
            return row[0] if row else None

        return await self._pool.run(work)

    async def save_decisions(self, decisions: Mapping[str, bytes]) -> None:
        """See `Store`."""
        now = self._clock()
        rows = [(key, now, ranking) for key, ranking in sorted(decisions.items())]

        def work(connection: Connection) -> None:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(_SAVE_DECISION, rows)
                cursor.execute("DELETE FROM decisions WHERE at < %s", (now - DECISIONS_KEPT_S,))
                cursor.execute(_PRUNE_DECISIONS, (DECISIONS_KEPT,))

        await self._pool.run(work)
