"""The tables of the store, and how a file says that it is ours.

The version lives in SQLite's ``user_version``. A file of another version is set aside, and a new one takes
over the tables that both have; therefore a column keeps its meaning as long as it keeps its name.
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x4D435452
"""``MCTR`` in ASCII; tells our files from another program's database (``PRAGMA application_id``)."""

CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""SQLite's codes for a damaged file."""

SCHEMA_VERSION = 3
"""Raise it with every change of the tables below."""

TABLES = ("pins", "outcomes", "catalogs", "decisions", "vectors")
"""What can't be fetched or computed again comes first."""

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


def copy_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Copy the rows of a database that is attached as ``disk``; how many, by table.

    A table that lacks one of our columns there, or can't be read, is left out.

    Raises:
        sqlite3.Error: the rows can't be written.
    """
    copied: dict[str, int] = {}
    for table in TABLES:
        try:
            columns = _columns(connection, "main", table)
            if columns <= _columns(connection, "disk", table):
                names = ", ".join(sorted(columns))
                statement = f"INSERT OR REPLACE INTO main.{table} ({names}) SELECT {names} FROM disk.{table}"  # noqa: S608  # our own names
                copied[table] = connection.execute(statement).rowcount
        except sqlite3.Error as error:
            if primary_code(error) not in CORRUPT:
                raise
    return copied


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; -1 for what Python's own module raised."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else code


def _columns(connection: sqlite3.Connection, database: str, table: str) -> set[str]:
    rows = connection.execute("SELECT name FROM pragma_table_info(?, ?)", (table, database))
    return {name for (name,) in rows}
