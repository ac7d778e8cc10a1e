"""The table of the history, and how a file or memory with it is opened. Synchronous."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, fields
from pathlib import Path

from service_manager.monitor.sample import Sample
from service_manager.sqlite import MEMORY, connect, identity, is_empty

BUSY_TIMEOUT_S = 1.0
"""How long a write waits for another process's; then its samples wait for the next."""

APPLICATION_ID = 0x4D435553
"""``MCUS`` in ASCII; tells our files from another program's database (``PRAGMA application_id``)."""

SCHEMA_VERSION = 1
"""Raise it with every change of the table below."""

_COLUMNS = tuple(field.name for field in fields(Sample))

_CREATE = f"""
CREATE TABLE IF NOT EXISTS samples (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    service TEXT NOT NULL,
    state TEXT NOT NULL,
    cpu_percent REAL,
    memory INTEGER,
    swap INTEGER,
    compressed INTEGER,
    disk_read REAL,
    disk_written REAL,
    received REAL,
    sent REAL,
    processes INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS samples_by_time ON samples (at);
CREATE INDEX IF NOT EXISTS samples_of_service ON samples (service, at);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

_INSERT = f"INSERT INTO samples ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608  # our own names
_OF_SERVICE = (
    f"SELECT {', '.join(_COLUMNS)} FROM samples WHERE service = ? AND at >= ?"  # noqa: S608  # our own names
    " ORDER BY at DESC, id DESC LIMIT ?"
)
_LATEST = f"SELECT {', '.join(_COLUMNS)} FROM samples ORDER BY id DESC LIMIT ?"  # noqa: S608  # our own names


class Foreign(Exception):
    """The file is a database of another program: leave it alone."""


class OtherVersion(Exception):
    """The file is of another version of this program."""


def add(connection: sqlite3.Connection, samples: Iterable[Sample]) -> None:
    """Write samples."""
    connection.executemany(_INSERT, [astuple(sample) for sample in samples])


def prune(connection: sqlite3.Connection, oldest: float, rows: int) -> None:
    """Let go of what is from before a Unix time, and of what is more than so many rows."""
    connection.execute("DELETE FROM samples WHERE at < ?", (oldest,))
    connection.execute("DELETE FROM samples WHERE id <= (SELECT max(id) FROM samples) - ?", (rows,))


def latest_of(connection: sqlite3.Connection, service: str, since: float, limit: int) -> list[Sample]:
    """The last samples of a service since a Unix time, oldest first."""
    rows = connection.execute(_OF_SERVICE, (service, since, limit)).fetchall()
    return [Sample(*row) for row in reversed(rows)]


def latest(connection: sqlite3.Connection, limit: int) -> list[Sample]:
    """The last samples of all, oldest first."""
    return [Sample(*row) for row in reversed(connection.execute(_LATEST, (limit,)).fetchall())]


def open_memory() -> sqlite3.Connection:
    """An empty table in memory."""
    connection = connect(MEMORY, BUSY_TIMEOUT_S)
    connection.executescript(_CREATE)
    return connection


def open_file(path: Path) -> sqlite3.Connection:
    """Open or make the file.

    Raises:
        Foreign: it is another program's.
        OtherVersion: it is another version's.
        sqlite3.Error: it can't be opened, or is broken.
        OSError: its directory can't be made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = connect(path.absolute().as_uri(), BUSY_TIMEOUT_S)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if is_empty(connection):
            connection.executescript(f"BEGIN IMMEDIATE; {_CREATE} COMMIT;")
        _check(connection, path)
    except (sqlite3.Error, Foreign, OtherVersion):
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application, version = identity(connection)
    if application != APPLICATION_ID:
        raise Foreign(f"{path} is a database of another program")
    if version != SCHEMA_VERSION:
        raise OtherVersion(f"{path} has version {version}, this program writes {SCHEMA_VERSION}")
