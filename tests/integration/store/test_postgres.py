"""What only PostgreSQL can do wrong: not be there, go away, hang, refuse, and tell a password."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

import anyio
import psycopg
import pytest
from structlog.testing import capture_logs

from tests.integration.store.postgres_server import PASSWORD, PostgresServer, binaries
from tests.unit.cache.samples import CATALOG, Computing, a_key, refused
from tool_router.cache.assembly import build_decision_cache
from tool_router.cache.postgres_pool import CONNECTIONS, RECYCLED_S, PostgresPool
from tool_router.cache.postgres_schema import SCHEMA, VERSION, Connection
from tool_router.cache.rest import LONGEST_S
from tool_router.cache.store import Store
from tool_router.config import CacheSettings
from tool_router.errors import ConfigError, StoreError

pytestmark = pytest.mark.anyio


def answer(connection: Connection) -> int:
    row = connection.execute("SELECT 42").fetchone()
    assert row is not None
    return row[0]


def slowly(connection: Connection) -> int:
    connection.execute("SELECT pg_sleep(30)")
    return 0


@pytest.fixture
def own_server() -> Generator[PostgresServer]:
    """A server that may be stopped and frozen: the others' one goes on."""
    found = binaries()
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    server = PostgresServer(found)
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def closed(pool: PostgresPool) -> None:
    with anyio.fail_after(10):
        await pool.aclose()


@pytest.mark.alone
async def test_an_absent_server_fails_at_once_is_said_once_and_asked_again_later(
    own_server: PostgresServer,
) -> None:
    own_server.stop()
    now = 0.0
    pool = PostgresPool(own_server.tcp_url, clock=lambda: now)
    started = time.monotonic()
    messages: set[str] = set()
    with capture_logs() as logs:
        for _ in range(5):
            with pytest.raises(StoreError) as raised:
                await pool.run(answer)
            messages.add(str(raised.value))
        assert time.monotonic() - started < 1.5
        now = LONGEST_S
        with pytest.raises(StoreError):
            await pool.run(answer)
        own_server.start()
        now = 2 * LONGEST_S
        assert await pool.run(answer) == 42
    await closed(pool)
    assert [entry["event"] for entry in logs] == ["store_unreachable", "store_reachable"]
    # The same words each time, so that whoever repeats them says them once.
    assert len(messages) == 1
    assert PASSWORD not in f"{logs} {messages}"
    assert f"127.0.0.1:{own_server.port}" in logs[0]["where"]


async def test_a_restart_of_the_server_is_not_noticed(own_server: PostgresServer) -> None:
    pool = PostgresPool(own_server.url)
    with capture_logs() as logs:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(pool.run, answer)
        own_server.stop()
        own_server.start()
        for _ in range(10):
            assert await pool.run(answer) == 42
    await closed(pool)
    assert logs == []


async def test_a_session_that_the_server_ended_is_replaced(postgres: PostgresServer) -> None:
    pool = PostgresPool(postgres.url)
    assert await pool.run(answer) == 42
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    assert await pool.run(answer) == 42
    await closed(pool)


async def test_a_server_that_hangs_keeps_neither_a_cancelled_caller_nor_the_end_waiting(
    own_server: PostgresServer,
) -> None:
    pool = PostgresPool(own_server.url)
    assert await pool.run(answer) == 42
    own_server.freeze()
    started = time.monotonic()
    with anyio.move_on_after(0.05) as scope:
        await pool.run(answer)
    assert scope.cancelled_caught
    await closed(pool)
    assert time.monotonic() - started < 8
    own_server.thaw()


async def test_a_hanging_store_costs_a_request_no_more_than_the_limit_of_a_lookup(
    own_server: PostgresServer,
) -> None:
    async with Store.open(None, url=own_server.url) as store:
        cache = build_decision_cache(CacheSettings(memory_s=0), store)
        await cache.rank(a_key("one"), CATALOG, Computing())
        own_server.freeze()
        started = time.monotonic()
        assert (await cache.rank(a_key("two"), CATALOG, Computing())).cached == ""
        assert time.monotonic() - started < 2
        own_server.thaw()


@pytest.mark.alone
async def test_routers_share_decisions(postgres: PostgresServer) -> None:
    async with Store.open(None, url=postgres.url) as one, Store.open(None, url=postgres.url) as two:
        first = build_decision_cache(CacheSettings(), one)
        await first.rank(a_key(), CATALOG, Computing())
        await first.flush()
        second = build_decision_cache(CacheSettings(), two)
        assert (await second.rank(a_key(), CATALOG, refused)).cached == "store"


async def test_at_most_twenty_connections_serve_any_number_of_callers(postgres: PostgresServer) -> None:
    pool = PostgresPool(postgres.url)
    answers: list[int] = []
    counts: list[int] = []

    def count(connection: Connection) -> None:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        ).fetchone()
        assert row is not None
        counts.append(row[0])

    async def ask(work: Callable[[Connection], object]) -> None:
        await pool.run(work)
        answers.append(1)

    async with anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(ask, count if number % 10 == 0 else answer)
    await closed(pool)
    assert len(answers) == 200
    assert max(counts) <= CONNECTIONS
    assert RECYCLED_S == 3600


async def test_what_the_server_refuses_is_an_error_and_no_reason_to_rest(postgres: PostgresServer) -> None:
    pool = PostgresPool(postgres.url)

    def wrong(connection: Connection) -> None:
        connection.execute("SELECT * FROM nowhere")

    with capture_logs() as logs:
        with pytest.raises(StoreError, match="nowhere"):
            await pool.run(wrong)
        assert await pool.run(answer) == 42
    await closed(pool)
    assert logs == []


@pytest.mark.parametrize("url", ["postgresql://me:hunter2%zz@host/db", "postgresql://me:hunter2@[::/db"])
def test_an_address_that_can_not_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        PostgresPool(url)
    assert "hunter2" not in f"{raised.value!r} {raised.value.__cause__!r}"


async def test_a_wrong_password_is_an_error_that_does_not_tell_it(postgres: PostgresServer) -> None:
    with capture_logs() as logs:
        async with Store.open(None, url=postgres.tcp_url.replace(PASSWORD, "hunter2")) as store:
            with pytest.raises(StoreError, match="authentication") as raised:
                await store.pins("gateway")
    assert "hunter2" not in f"{logs} {raised.value!r}"


def test_the_tables_carry_their_version() -> None:
    assert f"tool_router_{VERSION}" == SCHEMA


async def test_another_programs_tables_are_left_alone(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS public.pins (note text)")
        try:
            async with Store.open(None, url=postgres.url) as store:
                await store.pin("gateway", {"a": "f"})
            rows = connection.execute("SELECT count(*) FROM public.pins").fetchone()
            assert rows == (0,)
        finally:
            connection.execute("DROP TABLE public.pins")
