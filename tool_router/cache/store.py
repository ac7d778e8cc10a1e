"""What outlives a run: the last good catalog of each gateway, vectors, pins, outcomes and decisions.

Several routers may share one store. All but outcomes and accepted pins can be fetched or computed again.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from tool_router.catalog.model import Catalog
from tool_router.errors import ConfigError
from tool_router.learning.outcome import Outcome, Verdict

DAY_S = 86_400.0
VECTORS_KEPT_S = 30 * DAY_S
"""A vector that no catalog used for so long is deleted: its tool is gone or its text has changed."""
DECISIONS_KEPT_S = 7 * DAY_S
"""A decision that is older is deleted: what was learned since may have faded or grown."""
DECISIONS_KEPT = 20_000
"""Decisions kept at most, about a kilobyte each; the oldest are deleted beyond."""
OUTCOMES_KEPT = 10_000
"""Outcomes kept for each gateway: as many as are compared with a new task."""
OUTCOMES_KEPT_S = 365 * DAY_S
"""An outcome so much older than its gateway's latest is deleted: it counts for nothing any more, and a task
is somebody's words."""


class Store(ABC):
    """The persistent store: an SQLite file, memory, or a PostgreSQL database."""

    @staticmethod
    @asynccontextmanager
    async def open(
        path: Path | None, *, url: str = "", clock: Callable[[], float] = time.time
    ) -> AsyncGenerator[Store]:
        """Hold a store; it is opened or connected with the first use and closed at the end.

        Args:
            path: the SQLite file; None keeps everything in memory.
            url: a PostgreSQL database, in place of the file; empty takes the file.
            clock: Unix time, in seconds.

        Raises:
            ConfigError: PostgreSQL's client is not installed, or the address can't be read.
        """
        if url:
            try:
                from tool_router.cache.postgres_store import PostgresStore
            except ImportError as error:
                raise ConfigError(
                    "store.url needs PostgreSQL's client, which is not installed.",
                    "Install it with: pip install 'mcp-tool-router[postgres]'",
                ) from error
            store: Store = PostgresStore(url, clock=clock)
        else:
            from tool_router.cache.sqlite_store import SqliteStore

            store = SqliteStore(path, clock=clock)
        try:
            yield store
        finally:
            with anyio.CancelScope(shield=True):
                await store.aclose()

    @abstractmethod
    async def aclose(self) -> None:
        """Close what is open; the store can't be used afterwards."""

    @property
    @abstractmethod
    def in_memory(self) -> bool:
        """Whether nothing outlives this process: asked for, or the file could not be used."""

    @abstractmethod
    async def load_catalog(self, source: str) -> Catalog | None:
        """The last good catalog of a gateway, or None.

        Raises:
            StoreError: the store failed, or the row is damaged.
        """

    @abstractmethod
    async def load_description(self, source: str) -> str | None:
        """The description of ``execute_task`` saved with a gateway's catalog, or None.

        Raises:
            StoreError: the store failed.
        """

    @abstractmethod
    async def save_catalog(self, catalog: Catalog, description: str) -> None:
        """Store the catalog of ``catalog.source``, unless a newer one is stored already.

        Of a catalog that is stored with the same fingerprint only time and description are written.

        Raises:
            StoreError: the store failed, or a schema can't be written as JSON.
        """

    @abstractmethod
    async def vectors(self, model: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """The stored vectors (float32, this machine's byte order) among `hashes`, by text hash.

        Raises:
            StoreError: the store failed.
        """

    @abstractmethod
    async def save_vectors(self, model: str, vectors: Mapping[str, bytes]) -> None:
        """Add vectors (float32) by text hash, and delete those that nothing used for thirty days.

        Raises:
            StoreError: the store failed.
        """

    @abstractmethod
    async def pins(self, source: str) -> dict[str, str]:
        """The accepted fingerprint of each tool of a gateway, by tool id.

        Raises:
            StoreError: the store failed.
        """

    @abstractmethod
    async def pin(self, source: str, fingerprints: Mapping[str, str], *, accept: bool = False) -> None:
        """Pin tools on first sight; with `accept`, also replace what was pinned before.

        Raises:
            StoreError: the store failed.
        """

    @abstractmethod
    async def outcomes(self, source: str, limit: int) -> list[Outcome]:
        """The latest outcomes of a gateway, newest first; without those whose verdict is unknown here.

        Raises:
            StoreError: the store failed.
        """

    @abstractmethod
    async def add_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Add outcomes; one with a known id replaces it, old ones and those beyond a bound are deleted.

        Raises:
            StoreError: the store failed.
        """

    @abstractmethod
    async def judge_outcome(self, outcome_id: str, verdict: Verdict) -> bool:
        """Change the verdict of an outcome; False when there is no such outcome.

        Raises:
            StoreError: the store failed.
        """

    @abstractmethod
    async def decision(self, key: str) -> bytes | None:
        """A ranking's bytes under the key of a decision, or None when there is none that is young enough.

        Raises:
            StoreError: the store failed.
        """

    @abstractmethod
    async def save_decisions(self, decisions: Mapping[str, bytes]) -> None:
        """Add decisions by key, and delete the old ones and those beyond a bound.

        Raises:
            StoreError: the store failed.
        """
