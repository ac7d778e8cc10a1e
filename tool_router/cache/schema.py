"""The tables of the store, and how a file says that it is ours.

The version lives in SQLite's ``user_version``; there are no migrations, because everything here can be
fetched or computed again: a file of another version is set aside and rebuilt.
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x4D435452
"""``MCTR`` in ASCII; tells our files from another program's database (``PRAGMA application_id``)."""

SCHEMA_VERSION = 3
"""Raise it with every change of the tables below."""

COPY_FROM_DISK = (
    "INSERT OR REPLACE INTO main.catalogs SELECT * FROM disk.catalogs",
    "INSERT OR REPLACE INTO main.vectors SELECT * FROM disk.vectors",
    "INSERT OR REPLACE INTO main.pins SELECT * FROM disk.pins",
    "INSERT OR REPLACE INTO main.outcomes SELECT * FROM disk.outcomes",
    "INSERT OR REPLACE INTO main.decisions SELECT * FROM disk.decisions",
)
"""Copies every row of a database attached as ``disk``."""

# `description` stands before `tools`: SQLite reads a row from its start and follows the overflow pages of a
# long value to reach what comes after it, and a start-up reads only the description.
_CREATE = """
CREATE TABLE catalogs (
    source TEXT PRIMARY KEY,
    fetched_at REAL NOT NULL,
    fingerprint TEXT NOT NULL,
    description TEXT NOT NULL,
    tools BLOB NOT NULL
);
CREATE TABLE vectors (
    model TEXT NOT NULL,
    text_hash TEXT NOT NULL,
    used_at REAL NOT NULL,
    dim INTEGER NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (model, text_hash)
);
CREATE TABLE pins (
    source TEXT NOT NULL,
    tool_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    seen_at REAL NOT NULL,
    PRIMARY KEY (source, tool_id)
);
CREATE TABLE outcomes (
    id TEXT PRIMARY KEY,
    at REAL NOT NULL,
    source TEXT NOT NULL,
    task TEXT NOT NULL,
    category TEXT NOT NULL,
    tool_id TEXT NOT NULL,
    verdict TEXT NOT NULL,
    latency_ms REAL NOT NULL
);
CREATE INDEX outcomes_by_time ON outcomes (source, at);
CREATE TABLE decisions (
    key TEXT PRIMARY KEY,
    at REAL NOT NULL,
    ranking BLOB NOT NULL
);
CREATE INDEX decisions_by_time ON decisions (at);
"""


def create(connection: sqlite3.Connection) -> None:
    """Create every table and mark the file as ours, in one transaction.

    Raises:
        sqlite3.Error: the file can't be written.
    """
    connection.executescript(
        f"BEGIN IMMEDIATE; {_CREATE}"
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
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
