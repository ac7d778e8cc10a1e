"""A Redis that is gone, hangs, is full or holds what is not ours is no error to any router."""

from __future__ import annotations

import time

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from anyio.abc import SocketAttribute, SocketStream
from redis import Redis
from structlog.testing import capture_logs

from tests.integration.balance.sharing_routers import (
    SLOW_MACHINE_S,
    exchanged,
    keys_of,
    limit_memory,
    routers_at,
)
from tests.integration.cache.redis_server import PASSWORD, RedisServer
from tests.unit.balance.clock import ManualClock
from tool_router.balance.redis_peers import LIFE_S, MOST_ROUTERS
from tool_router.balance.redis_sharing import EXCHANGE_S

pytestmark = [pytest.mark.anyio, pytest.mark.alone]


async def test_a_redis_that_is_killed_is_said_once_and_used_again_when_it_is_back(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    async with routers_at(redis_server.url, clock) as (one, two):
        await one.begin("a", 5)
        await exchanged(one, two)
        redis_server.stop()
        with capture_logs() as logs:
            assert not await two.sharing.exchange()
            assert two.elsewhere()["a"] == 5
            clock.advance(LIFE_S)
            for _ in range(3):
                assert not await two.sharing.exchange()
            assert two.elsewhere()["a"] == 0
            redis_server.start()
            await exchanged(one, two)
            assert two.elsewhere()["a"] == 5
        assert [entry["event"] for entry in logs] == ["redis_sharing_failed", "redis_sharing_back"]
        assert PASSWORD not in repr(logs)


async def test_a_running_router_outlives_its_redis(redis_server: RedisServer, clock: ManualClock) -> None:
    async with routers_at(redis_server.url, clock, interval_s=0.01) as (one, two):
        await one.begin("a", 5)
        with anyio.fail_after(SLOW_MACHINE_S):
            async with anyio.create_task_group() as tasks:
                for router in (one, two):
                    tasks.start_soon(router.sharing.run)
                while two.elsewhere()["a"] != 5:
                    await anyio.lowlevel.checkpoint()
                redis_server.stop()
                one.fail()
                clock.advance(LIFE_S)
                while two.elsewhere()["a"] != 0:
                    await anyio.lowlevel.checkpoint()
                await anyio.to_thread.run_sync(redis_server.start)
                while two.elsewhere()["a"] != 5 or two.admits("a"):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()


async def test_a_redis_that_hangs_costs_an_exchange_its_limit_and_mixes_nothing_up(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    async with routers_at(redis_server.url, clock) as (one, two):
        await one.begin("a", 5)
        await exchanged(one, two)
        redis_server.freeze()
        started = time.monotonic()
        assert not await two.sharing.exchange()
        assert EXCHANGE_S <= time.monotonic() - started < 5 * EXCHANGE_S
        redis_server.thaw()
        await exchanged(one, two)
        assert two.elsewhere() == {"a": 5, "b": 0}


async def test_cancellation_passes_at_once_and_leaves_the_connection_usable(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    async with routers_at(redis_server.url, clock) as (one, two):
        await one.begin("a", 5)
        with capture_logs() as logs:
            for turn in range(60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(two.sharing.exchange)
                    for _ in range(turn % 20):
                        await anyio.lowlevel.checkpoint()
                    tasks.cancel_scope.cancel()
            await exchanged(one, two)
            assert two.elsewhere() == {"a": 5, "b": 0}
            redis_server.freeze()
            started = time.monotonic()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(two.sharing.exchange)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
            assert time.monotonic() - started < EXCHANGE_S
        assert logs == []


async def test_a_wrong_password_is_no_error_and_is_not_repeated(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    with capture_logs() as logs:
        async with routers_at(redis_server.url.replace(PASSWORD, "hunter2"), clock, 1) as (one,):
            assert not await one.sharing.exchange()
    assert [entry["event"] for entry in logs] == ["redis_sharing_failed"]
    assert "hunter2" not in repr(logs)


@pytest.mark.parametrize(
    "says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff" * 9, b"*1\r\n" * 99, b":1\r\n"]
)
async def test_a_server_that_is_no_redis_is_no_error(clock: ManualClock, says: bytes) -> None:
    async def answer(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(says + b"\r\n" if says else b"\r\n")

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, answer)
        port = listener.extra(SocketAttribute.local_port)
        async with routers_at(f"redis://127.0.0.1:{port}/0", clock, 1) as (one,):
            with capture_logs() as logs:
                assert not await one.sharing.exchange()
        assert [entry["event"] for entry in logs] == ["redis_sharing_failed"]
        tasks.cancel_scope.cancel()


async def test_a_full_redis_is_no_error(redis_server: RedisServer, clock: ManualClock, redis: Redis) -> None:
    async with routers_at(redis_server.url, clock) as (one, two):
        await one.begin("a", 5)
        limit_memory(redis, "1")
        with capture_logs() as logs:
            assert not await one.sharing.exchange()
            limit_memory(redis, "0")
            await exchanged(one, two)
        assert two.elsewhere()["a"] == 5
        assert [entry["event"] for entry in logs] == ["redis_sharing_failed", "redis_sharing_back"]


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b"{}", b'{"v":2,"in_flight":{"a":9},"open":{}}'])
async def test_a_report_that_cannot_be_read_is_left_out_and_said_once(
    redis_server: RedisServer, clock: ManualClock, redis: Redis, data: bytes
) -> None:
    async with routers_at(redis_server.url, clock, 3) as (one, two, three):
        await one.begin("a", 5)
        await two.begin("a", 2)
        await exchanged(one, two, three)
        with capture_logs() as logs:
            for _ in range(3):
                redis.set(keys_of(redis, one.sharing.router)[0], data, px=5000)
                await three.sharing.exchange()
        assert three.elsewhere() == {"a": 2, "b": 0}
        assert [entry["event"] for entry in logs] == ["redis_sharing_unreadable"]


async def test_what_another_program_keeps_under_our_keys_does_no_harm(
    redis_server: RedisServer, clock: ManualClock, redis: Redis
) -> None:
    async with routers_at(redis_server.url, clock) as (one, two):
        await one.begin("a", 5)
        one.record("a", 10)
        await exchanged(one, two)
        for key in keys_of(redis, one.sharing.router) + keys_of(redis, ":target:a"):
            redis.delete(key)
            redis.lpush(key, "x")
        await exchanged(two)
        assert two.elsewhere()["a"] == 0
        assert two.pool.get("a").state.window.summary().requests == 0
        # Its own keys are written over.
        await exchanged(one, two)
        assert two.elsewhere()["a"] == 5
        (routers,) = keys_of(redis, "routers")
        redis.delete(routers)
        redis.set(routers, "x")
        with capture_logs() as logs:
            assert not await two.sharing.exchange()
        assert [entry["event"] for entry in logs] == ["redis_sharing_failed"]


async def test_a_window_that_cannot_be_read_is_left_out(
    redis_server: RedisServer, clock: ManualClock, redis: Redis
) -> None:
    async with routers_at(redis_server.url, clock, 3) as (one, two, three):
        one.record("a", 10)
        two.record("a", 10)
        await exchanged(one, two, three)
        redis.set(keys_of(redis, f"{one.sharing.router}:target:a")[0], b"tw0 of another version", px=5000)
        await exchanged(three)
        assert three.pool.get("a").state.window.summary().requests == 100


async def test_only_so_many_routers_are_listened_to(
    redis_server: RedisServer, clock: ManualClock, redis: Redis
) -> None:
    async with routers_at(redis_server.url, clock, 1) as (one,):
        await exchanged(one)
        (routers,) = keys_of(redis, "routers")
        prefix = routers.removesuffix("routers")
        for number in range(2 * MOST_ROUTERS):
            redis.zadd(routers, {f"r{number}": time.time() * 1000})
            redis.set(f"{prefix}r{number}", b'{"v":1,"in_flight":{"a":1},"open":{}}', px=5000)
        await one.sharing.exchange()
        assert MOST_ROUTERS - 1 <= one.elsewhere()["a"] <= MOST_ROUTERS
