"""A store of each kind for the tests that hold for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.integration.store.postgres_server import PostgresServer, binaries
from tool_router.cache.postgres_schema import SCHEMA
from tool_router.cache.store import Store


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store is kept; opened twice, two routers share it."""

    path: Path | None
    url: str = ""

    def open(self, clock: Callable[[], float] = time.time) -> AbstractAsyncContextManager[Store]:
        return Store.open(self.path, url=self.url, clock=clock)


@pytest.fixture(scope="session")
def postgres_server() -> Generator[PostgresServer]:
    found = binaries()
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    server = PostgresServer(found)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> PostgresServer:
    """The server, without anything that an earlier test stored."""
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    return postgres_server


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path / "state" / "store.sqlite3")
    server: PostgresServer = request.getfixturevalue("postgres")
    return Place(None, server.url)
