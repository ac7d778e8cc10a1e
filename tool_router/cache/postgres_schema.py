"""The store's tables in PostgreSQL.

They live in a schema whose name holds their version: routers of two versions share one database without
disturbing each other, and nothing of another program is touched.
"""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg.rows import TupleRow

VERSION = 1
"""Raise it, and `SCHEMA` with it, with every change of the tables below."""
SCHEMA: Final = "tool_router_1"

_STATEMENT_TIMEOUT: Final = "SET statement_timeout TO '5s'"
_SEARCH_PATH: Final = "SET search_path TO tool_router_1"
_LOCK = 0x4D435452
"""Key of the advisory lock under which tables are made: ``MCTR`` in ASCII."""

_CREATE: Final = """
CREATE SCHEMA IF NOT EXISTS tool_router_1;
CREATE TABLE catalogs (
    source text PRIMARY KEY,
    fetched_at double precision NOT NULL,
    fingerprint text NOT NULL,
    description text NOT NULL,
    tools bytea NOT NULL
);
CREATE TABLE vectors (
    model text NOT NULL,
    text_hash text NOT NULL,
    used_at double precision NOT NULL,
    dim integer NOT NULL,
    vector bytea NOT NULL,
    PRIMARY KEY (model, text_hash)
);
CREATE INDEX vectors_by_use ON vectors (used_at);
CREATE TABLE pins (
    source text NOT NULL,
    tool_id text NOT NULL,
    fingerprint text NOT NULL,
    seen_at double precision NOT NULL,
    PRIMARY KEY (source, tool_id)
);
CREATE TABLE outcomes (
    id text PRIMARY KEY,
    at double precision NOT NULL,
    source text NOT NULL,
    task text NOT NULL,
    category text NOT NULL,
    tool_id text NOT NULL,
    verdict text NOT NULL,
    latency_ms double precision NOT NULL
);
CREATE INDEX outcomes_by_time ON outcomes (source, at);
CREATE TABLE decisions (
    key text PRIMARY KEY,
    at double precision NOT NULL,
    ranking bytea NOT NULL
);
CREATE INDEX decisions_by_time ON decisions (at);
"""

Connection = psycopg.Connection[TupleRow]


def configure(connection: Connection) -> None:
    """Make a new connection find the tables, and give up what takes longer than five seconds.

    Raises:
        psycopg.Error: the server refused.
    """
    connection.execute(_SEARCH_PATH)
    connection.execute(_STATEMENT_TIMEOUT)


def create_if_absent(connection: Connection) -> None:
    """Create the tables unless they are there; routers that start together take turns.

    Raises:
        psycopg.Error: the server refused, or the user may not create a schema.
    """
    if _is_there(connection):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if not _is_there(connection):
            connection.execute(_CREATE)


def _is_there(connection: Connection) -> bool:
    # The last of the tables: they are all made in one transaction. Read as rows, because looking a name up
    # (to_regclass) may still answer from before the lock was held.
    row = connection.execute(
        "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = 'decisions'", (SCHEMA,)
    ).fetchone()
    return row is not None
