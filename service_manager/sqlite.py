"""How this project opens SQLite files, and how it knows its own."""

from __future__ import annotations

import sqlite3

MEMORY = "file::memory:"
"""The address of a database in memory, which its connection alone sees."""


def connect(address: str, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection that commits every statement by itself, for one thread at a time, not always the same one.

    Args:
        address: a ``file:`` URI.
        busy_timeout_s: how long a write waits for another process's.

    Raises:
        sqlite3.Error: it can't be opened.
    """
    return sqlite3.connect(
        address, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
    )


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the file holds nothing yet.

    Raises:
        sqlite3.Error: the file is no database.
    """
    return connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0


def identity(connection: sqlite3.Connection) -> tuple[int, int]:
    """The file's application id and schema version.

    Raises:
        sqlite3.Error: the file is no database.
    """
    application_id: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return application_id, version
