"""The Redis tier against a real Redis: shared, bounded, and a miss whenever something is wrong."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from redis import Redis
from structlog.testing import capture_logs

from tests.integration.cache.redis_server import PASSWORD, RedisServer
from tests.unit.cache.samples import CATALOG, Computing, a_key, refused
from tool_router.cache.assembly import build_decision_cache
from tool_router.cache.redis_tier import CONNECTIONS, GET_S, PREFIX, RedisTier
from tool_router.cache.rest import LONGEST_S
from tool_router.config import CacheSettings

pytestmark = pytest.mark.anyio

TTL_S = 900.0


@asynccontextmanager
async def tier_of(url: str, clock: Callable[[], float] = time.monotonic) -> AsyncGenerator[RedisTier]:
    tier = RedisTier(url, TTL_S, clock=clock)
    try:
        yield tier
    finally:
        await tier.aclose()


def looking_at(server: RedisServer) -> Redis:
    return Redis(port=server.port, password=PASSWORD)


async def test_routers_share_what_one_of_them_decided(redis_server: RedisServer) -> None:
    settings = CacheSettings.model_validate({"redis_url": redis_server.url, "persistent": False})
    one, two = build_decision_cache(settings, None), build_decision_cache(settings, None)
    async with one.running(), two.running():
        await one.rank(a_key(), CATALOG, Computing())
        await one.flush()
        assert (await two.rank(a_key(), CATALOG, refused)).cached == "redis"
        assert (await two.rank(a_key(), CATALOG, refused)).cached == "memory"
        assert two.stats().tiers["redis"].hits == 1


async def test_a_decision_expires_and_holds_no_words_of_the_task(redis_server: RedisServer) -> None:
    settings = CacheSettings.model_validate({"redis_url": redis_server.url, "redis_s": 60})
    cache = build_decision_cache(settings, None)
    async with cache.running():
        await cache.rank(a_key("tell nobody"), CATALOG, Computing())
    with looking_at(redis_server) as redis:
        key = PREFIX + a_key("tell nobody").digest
        assert 50_000 < redis.pttl(key) <= 60_000
        assert "nobody" not in str(redis.get(key))


async def test_many_entries_are_written_by_one_batch(redis_server: RedisServer) -> None:
    async with tier_of(redis_server.url) as tier:
        await tier.put({str(number): b"x" * 1_000 for number in range(1_000)})
        assert await tier.get("999") == b"x" * 1_000
        assert await tier.get("1000") is None
        assert tier.failures == 0


async def test_many_lookups_at_once_take_few_connections(redis_server: RedisServer) -> None:
    found: list[bytes | None] = []
    async with tier_of(redis_server.url) as tier:
        await tier.put({"key": b"value"})

        async def look() -> None:
            found.append(await tier.get("key"))

        # As many at once as can be served within a lookup's time, even on a busy machine.
        async with anyio.create_task_group() as tasks:
            for _ in range(4 * CONNECTIONS):
                tasks.start_soon(look)
        with looking_at(redis_server) as redis:
            # redis leaves the keywords of this method without types.
            clients = redis.info("clients")  # pyright: ignore[reportUnknownMemberType]
            assert clients["connected_clients"] <= CONNECTIONS + 1
    # On a busy machine some may miss their limit; none may fail for want of a connection.
    assert len(found) == 4 * CONNECTIONS
    assert b"value" in found


async def test_cancelled_lookups_leave_every_connection_usable(redis_server: RedisServer) -> None:
    now = 0.0
    async with tier_of(redis_server.url, lambda: now) as tier:
        await tier.put({str(number): str(number).encode() for number in range(10)})
        for turn in range(100):
            async with anyio.create_task_group() as tasks:
                for number in range(10):
                    tasks.start_soon(tier.get, str(number))
                for _ in range(turn % 7):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        # A connection that still held the answer to a cancelled lookup would give it to another.
        for number in range(10):
            found = None
            for _ in range(20):
                # On a busy machine a lookup may miss its limit; the rest after that is over at once here.
                now += LONGEST_S
                if (found := await tier.get(str(number))) is not None:
                    break
            assert found == str(number).encode()


async def test_an_absent_redis_is_a_miss_said_once_and_left_alone(
    redis_server: RedisServer,
) -> None:
    redis_server.stop()
    now = 0.0
    with capture_logs() as logs:
        async with tier_of(redis_server.url, lambda: now) as tier:
            for _ in range(5):
                assert await tier.get("key") is None
                await tier.put({"key": b"value"})
            assert tier.failures == 1
            now = LONGEST_S
            assert await tier.get("key") is None
            assert tier.failures == 2
            redis_server.start()
            now = 2 * LONGEST_S
            await tier.put({"key": b"value"})
            assert await tier.get("key") == b"value"
    assert [entry["event"] for entry in logs] == ["redis_cache_failed", "redis_cache_back"]
    assert PASSWORD not in repr(logs)
    assert logs[0]["where"] == f"redis://127.0.0.1:{redis_server.port}/0"


async def test_a_redis_that_was_restarted_is_used_without_a_failure(redis_server: RedisServer) -> None:
    async with tier_of(redis_server.url) as tier:
        await tier.put({"key": b"value"})
        redis_server.stop()
        redis_server.start()
        assert await tier.get("key") is None
        assert tier.failures == 0


@pytest.mark.alone
async def test_a_redis_that_hangs_costs_one_lookup_its_limit(redis_server: RedisServer) -> None:
    with capture_logs() as logs:
        async with tier_of(redis_server.url) as tier:
            await tier.put({"key": b"value"})
            redis_server.freeze()
            started = time.monotonic()
            for _ in range(20):
                assert await tier.get("key") is None
            assert time.monotonic() - started < 10 * GET_S
            assert tier.failures == 1
            redis_server.thaw()
    assert [entry["event"] for entry in logs] == ["redis_cache_failed"]


async def test_a_wrong_password_is_a_miss_and_is_not_repeated(redis_server: RedisServer) -> None:
    with capture_logs() as logs:
        async with tier_of(redis_server.url.replace(PASSWORD, "hunter2")) as tier:
            assert await tier.get("key") is None
    assert [entry["event"] for entry in logs] == ["redis_cache_failed"]
    assert "hunter2" not in repr(logs)


async def test_what_another_program_keeps_under_our_key_is_a_miss(redis_server: RedisServer) -> None:
    with looking_at(redis_server) as redis:
        redis.lpush(f"{PREFIX}list", "a")
        redis.set(PREFIX + a_key().digest, b"\x00 no ranking")
    async with tier_of(redis_server.url) as tier:
        assert await tier.get("list") is None
    settings = CacheSettings.model_validate({"redis_url": redis_server.url})
    cache = build_decision_cache(settings, None)
    async with cache.running():
        assert (await cache.rank(a_key(), CATALOG, Computing())).cached == ""
