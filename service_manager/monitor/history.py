"""The history in one SQLite file, bounded by age and by rows; in memory where no file can be used."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import structlog
from anyio import to_thread

from service_manager.monitor import table
from service_manager.monitor.sample import Sample
from service_manager.paths import state_dir

T = TypeVar("T")

KEPT_S = 7 * 86_400.0
"""How long a sample is kept."""

KEPT_ROWS = 500_000
"""How many samples are kept: a week of 20 services every 30 s, about 60 MB."""

MEMORY_ROWS = 50_000
"""How many samples are kept where they are in memory: about 10 MB."""

PENDING_ROWS = 10_000
"""How many samples wait at most while another process holds the file."""

ATTEMPTS = 3
"""The file as it is, a new one in its place, memory."""

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def history_file(services: Path, environ: Mapping[str, str]) -> Path:
    """Where the history of a services.yml is kept: in the state directory, told apart by the file's path."""
    told_apart = hashlib.sha256(os.fsencode(services.absolute())).hexdigest()[:12]
    return state_dir(environ) / f"usage-{told_apart}.sqlite3"


class History:
    """Keeps samples. Nothing it meets is an error: it warns once and goes on in memory.

    Each method runs on a worker thread, one at a time; being cancelled waits for the statement that runs.

    Args:
        path: its file; None keeps everything in memory.
        kept_s: how long a sample is kept, in seconds.
        kept_rows: how many are kept.

    Attributes:
        kept_s: as given; it may be changed at any time.
    """

    def __init__(self, path: Path | None, *, kept_s: float = KEPT_S, kept_rows: int = KEPT_ROWS) -> None:
        self._path = path
        self.kept_s = kept_s
        self._kept_rows = kept_rows if path else min(kept_rows, MEMORY_ROWS)
        self._connection: sqlite3.Connection | None = None
        self._pending: deque[Sample] = deque(maxlen=min(kept_rows, PENDING_ROWS))
        self._one_at_a_time = anyio.CapacityLimiter(1)

    @property
    def in_memory(self) -> bool:
        """Whether nothing outlives this process."""
        return self._path is None

    async def add(self, samples: Sequence[Sample], now: float) -> None:
        """Keep samples, and let go of what is too old or too much.

        Args:
            samples: in the order of their time.
            now: Unix time, in seconds.
        """
        self._pending.extend(samples)
        await self._run(partial(self._write, now=now), None)

    async def since(self, service: str, at: float, limit: int = 10_000) -> tuple[Sample, ...]:
        """The samples of a service since a Unix time, oldest first; the latest ones when there are more."""

        def work(connection: sqlite3.Connection) -> tuple[Sample, ...]:
            return tuple(table.latest_of(connection, service, at, limit))

        return await self._run(work, ())

    async def aclose(self) -> None:
        """Close the file."""
        await to_thread.run_sync(self._close, limiter=self._one_at_a_time)

    async def _run(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        return await to_thread.run_sync(partial(self._do, work, otherwise), limiter=self._one_at_a_time)

    def _write(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            table.add(connection, self._pending)
            table.prune(connection, now - self.kept_s, self._kept_rows)
            connection.execute("COMMIT")
        except sqlite3.Error:
            # SQLite may have rolled back already (disk full); the first error is the one to report.
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        self._pending.clear()

    def _do(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Do some work; once more on a new file, or in memory, where this one can't be used."""
        for _ in range(ATTEMPTS):
            try:
                return work(self._connected())
            except sqlite3.Error as error:
                code = _code(error)
                if code in _BUSY or self._path is None:
                    break
                self._set_aside(str(error)) if code in _BROKEN else self._use_memory(str(error))
            except table.OtherVersion as error:
                self._set_aside(str(error))
            except (OSError, table.Foreign) as error:
                self._use_memory(str(error))
        return otherwise

    def _set_aside(self, reason: str) -> None:
        """Let a new file begin; the old one is kept beside it."""
        path = self._path
        if path is None:
            return
        self._close()
        aside = path.with_name(f"{path.name}.aside")
        try:
            path.replace(aside)
            for suffix in ("-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            self._use_memory(f"{reason}; {error}")
            return
        structlog.get_logger().warning(
            "usage_history_set_aside", path=str(path), kept_as=str(aside), reason=reason
        )

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = table.open_memory() if self._path is None else table.open_file(self._path)
        return self._connection

    def _use_memory(self, reason: str) -> None:
        path, self._path = self._path, None
        if path is None:
            return
        self._kept_rows = min(self._kept_rows, MEMORY_ROWS)
        before, self._connection = self._connection, None
        connection = table.open_memory()
        if before is not None:
            with suppress(sqlite3.Error):
                # What can be read of it is not lost for as long as this process runs.
                table.add(connection, table.latest(before, MEMORY_ROWS))
            with suppress(sqlite3.Error):
                before.close()
        self._connection = connection
        structlog.get_logger().warning(
            "usage_history_in_memory_only",
            path=str(path),
            reason=reason,
            next_step="Make the directory writable or free some space, then start the daemon again.",
        )

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _code(error: Exception) -> int:
    """SQLite's primary result code; -1 for everything else."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else code
