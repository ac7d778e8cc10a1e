"""One SQLite file: opened late, rebuilt when it is unusable, replaced by memory when nothing can be written.

Synchronous, and for one thread at a time: `store` runs it on a worker thread.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import structlog

from service_manager.sqlite import MEMORY, connect, identity, is_empty
from tool_router.cache import schema
from tool_router.cache.set_aside import file_id, set_aside, supersede
from tool_router.errors import StoreError

T = TypeVar("T")

_BUSY_TIMEOUT_S = 2.0
"""How long a write waits for another router's write; a write here takes milliseconds."""

_UNWRITABLE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PERM,
    }
)


class _Foreign(Exception):
    """The file is a database of another program: leave it alone."""


class Database:
    """A connection to the store's file, or to memory when `path` is None or can't be used."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file_id: tuple[int, int] | None = None

    @property
    def in_memory(self) -> bool:
        """Whether nothing outlives this process."""
        return self._path is None

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work on the connection; repeat it once on a rebuilt file, or in memory.

        Raises:
            StoreError: it failed for another reason (locked by another process, text that is no Unicode).
        """
        try:
            return work(self._connect())
        except sqlite3.Error as error:
            self._recover(error)
        except UnicodeError as error:
            raise StoreError(f"The store {self._path or 'in memory'} failed: {error}.") from error
        try:
            return work(self._connect())
        except (sqlite3.Error, UnicodeError) as error:
            raise StoreError(f"The store {self._path or 'in memory'} failed: {error}.") from error

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _recover(self, error: sqlite3.Error) -> None:
        """Make a second attempt worthwhile, or raise."""
        code = schema.primary_code(error)
        if self._path is not None and code in schema.CORRUPT:
            self.close()
            try:
                with _opening(self._path):
                    # Another router may have rebuilt it meanwhile: only the file that failed is set aside.
                    if file_id(self._path) == self._file_id:
                        set_aside(self._path, "corrupt", str(error))
            except OSError as cause:
                self._use_memory(f"{error}; {cause}", copy=False)
        elif self._path is not None and code in _UNWRITABLE:
            self._use_memory(str(error))
        else:
            raise StoreError(f"The store {self._path or 'in memory'} failed: {error}.") from error

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None and self._path is not None:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with _opening(self._path):
                    self._connection = _open_file(self._path)
                    self._file_id = file_id(self._path)
            except _Foreign as error:
                self._use_memory(str(error), copy=False)
            except OSError as error:
                self._use_memory(str(error))
        if self._connection is None:
            self._connection = _open_memory()
        return self._connection

    def _use_memory(self, reason: str, *, copy: bool = True) -> None:
        """Keep what the file holds in memory from now on, and say so; `_path` None means said."""
        path, self._path = self._path, None
        self.close()
        self._connection = _open_memory()
        copied = copy and path is not None and _copy_into(self._connection, path)
        structlog.get_logger().warning(
            "store_in_memory_only",
            path=str(path),
            reason=reason,
            kept_what_was_stored=copied,
            next_step="Make the directory writable or free some space, then restart.",
        )


def _open_memory() -> sqlite3.Connection:
    connection = connect(MEMORY, _BUSY_TIMEOUT_S)
    schema.create(connection)
    return connection


def _open_file(path: Path) -> sqlite3.Connection:
    """Open the file, setting an unusable one aside first.

    Raises:
        _Foreign: it belongs to another program.
        sqlite3.Error: it can't be opened or written.
    """
    connection = connect(path.absolute().as_uri(), _BUSY_TIMEOUT_S)
    try:
        connection = _usable(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if is_empty(connection):
            schema.create(connection)
    except (sqlite3.Error, _Foreign):
        connection.close()
        raise
    return connection


def _usable(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """The connection, or one to a new file when this one is damaged or of another version.

    Raises:
        _Foreign: it belongs to another program.
        sqlite3.Error: it can't be opened, or its successor can't be written.
        OSError: it can't be renamed.
    """
    try:
        version = _version(connection)
        if version == schema.SCHEMA_VERSION:
            return connection
        connection.close()
        supersede(path, version)
    except sqlite3.Error as error:
        if schema.primary_code(error) not in schema.CORRUPT:
            raise
        connection.close()
        set_aside(path, "corrupt", str(error))
    return connect(path.absolute().as_uri(), _BUSY_TIMEOUT_S)


def _version(connection: sqlite3.Connection) -> int:
    """The schema version of the file; this program's own where nothing is in it yet.

    Raises:
        _Foreign: it belongs to another program.
        sqlite3.Error: it can't be opened, or is damaged.
    """
    if is_empty(connection):
        return schema.SCHEMA_VERSION
    application_id, version = identity(connection)
    if application_id != schema.APPLICATION_ID:
        raise _Foreign("the file is a database of another program")
    return version


def _copy_into(memory: sqlite3.Connection, path: Path) -> bool:
    """Copy the rows of an unwritable file; False when it can't be read either."""
    if not path.is_file():
        return False
    # Without a writable directory SQLite can't share a WAL file; `immutable` reads it without any lock.
    for options in ("mode=ro", "mode=ro&immutable=1"):
        try:
            memory.execute("ATTACH DATABASE ? AS disk", (f"{path.absolute().as_uri()}?{options}",))
        except sqlite3.Error:
            continue
        try:
            if memory.execute("PRAGMA disk.application_id").fetchone()[0] != schema.APPLICATION_ID:
                return False
            return bool(schema.copy_rows(memory))
        except sqlite3.Error:
            continue
        finally:
            with suppress(sqlite3.Error):
                memory.execute("DETACH DATABASE disk")
    return False


@contextmanager
def _opening(path: Path) -> Generator[None]:
    """Let one process at a time open, create or set aside the file.

    Two routers that start together would otherwise set aside each other's fresh file, and SQLite's own lock
    does not cover the change to WAL. Advisory: after two seconds (a stopped process holds it) it is ignored.
    """
    import fcntl

    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + _BUSY_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(0.005)
            else:
                break
        yield
    finally:
        os.close(descriptor)
