"""Routers that share through a real Redis: load, breakers and windows; and whatever happens to that Redis."""

from __future__ import annotations

import time
from statistics import median

import anyio
import anyio.lowlevel
import pytest
from redis import Redis

from tests.integration.balance.sharing_routers import (
    ANY,
    KEY,
    OPEN_S,
    SLOW_MACHINE_S,
    exchanged,
    keys_of,
    routers_at,
)
from tests.integration.cache.redis_server import RedisServer
from tests.unit.balance.clock import ManualClock
from tool_router.balance.breaker import State
from tool_router.balance.outcome import CallKeys
from tool_router.balance.redis_peers import LIFE_S, WINDOW_LIFE_S
from tool_router.balance.redis_sharing import MOST_READ
from tool_router.balance.window import Result, merged
from tool_router.errors import BreakerOpen, GatewayBusy

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("strategy", ["least_loaded", "power_of_two"])
async def test_a_target_that_another_router_has_filled_is_avoided(
    redis_server: RedisServer, clock: ManualClock, strategy: str
) -> None:
    async with routers_at(redis_server.url, clock, 3, strategy=strategy) as (one, two, three):
        await one.begin("a", 5)
        await two.begin("a", 3)
        await exchanged(one, two, three)
        assert one.elsewhere() == {"a": 3, "b": 0}
        assert two.elsewhere() == {"a": 5, "b": 0}
        assert three.elsewhere() == {"a": 8, "b": 0}
        assert three.chosen() == {"b"}


async def test_calls_elsewhere_take_up_no_place_here(redis_server: RedisServer, clock: ManualClock) -> None:
    async with routers_at(redis_server.url, clock, names=("a",), capacity=2) as (one, two):
        await one.begin("a", 2)
        await exchanged(one, two)
        assert two.elsewhere() == {"a": 2}
        await two.begin("a", 2)


async def test_a_router_that_is_gone_no_longer_loads_a_target(
    redis_server: RedisServer, clock: ManualClock, redis: Redis
) -> None:
    async with routers_at(redis_server.url, clock) as (one, two):
        await one.begin("a", 5)
        one.record("a", 10)
        await exchanged(one, two)
        assert two.pool.get("a").state.window.summary().requests == 100
        written = keys_of(redis, one.sharing.router) + keys_of(redis, f"{one.sharing.router}:target:a")
        assert [0 < redis.pttl(key) <= WINDOW_LIFE_S * 1000 for key in written] == [True, True]
        assert redis.pttl(written[0]) <= LIFE_S * 1000
        redis.delete(*written)
        await exchanged(two)
        assert two.elsewhere() == {"a": 0, "b": 0}
        assert two.pool.get("a").state.window.summary().requests == 0


async def test_a_router_that_was_not_heard_of_for_long_is_no_longer_listed(
    redis_server: RedisServer, clock: ManualClock, redis: Redis
) -> None:
    async with routers_at(redis_server.url, clock, 1) as (one,):
        await exchanged(one)
        (routers,) = keys_of(redis, "routers")
        ages = {"old": time.time() - LIFE_S - 1, "ahead": time.time() + 3600}
        redis.zadd(routers, {name: at * 1000 for name, at in ages.items()})
        await exchanged(one)
        assert redis.zcard(routers) == 1
        assert redis.zscore(routers, one.sharing.router) is not None


async def test_an_open_breaker_holds_others_off_for_the_rest_of_its_time_and_no_longer(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    async with routers_at(redis_server.url, clock, 3) as (one, two, three):
        await exchanged(one, two, three)
        one.fail()
        clock.advance(10)
        await exchanged(one, two, three)
        for other in (two, three):
            assert not other.admits("a")
            assert other.chosen() == {"b"}
            # What was told is a moment old by then.
            assert OPEN_S - 10 - LIFE_S < other.admission.held_s(KEY) <= OPEN_S - 10
            assert other.admission.states()[KEY] is State.CLOSED
        clock.advance(OPEN_S - 10)
        assert two.admits("a")
        await exchanged(one, two, three)
        assert two.admits("a")
        # One call after the rest decides, in each router for itself.
        two.admission.succeeded(two.admission.admit(CallKeys.of("a")))


async def test_a_report_that_is_old_holds_off_for_less(
    redis_server: RedisServer, clock: ManualClock, redis: Redis
) -> None:
    async with routers_at(redis_server.url, clock) as (one, two):
        one.fail()
        await exchanged(one)
        redis.pexpire(keys_of(redis, one.sharing.router)[0], 2000)
        await exchanged(two)
        left_s = two.admission.held_s(KEY)
        assert OPEN_S - LIFE_S < left_s <= OPEN_S - LIFE_S + 2


async def test_a_breaker_that_is_reset_where_it_opened_lets_the_others_go(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    async with routers_at(redis_server.url, clock) as (one, two):
        one.fail()
        await exchanged(one, two)
        assert not two.admits("a")
        one.admission.reset(KEY)
        await exchanged(one, two)
        assert two.admits("a")


async def test_a_reset_elsewhere_does_not_end_what_the_target_asked_for_here(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    async with routers_at(redis_server.url, clock) as (one, two):
        keys = CallKeys.of("a")
        permits = two.admission.admit(keys)
        one.fail()
        await exchanged(one, two)
        two.admission.failed(keys, permits, GatewayBusy(60.0, "It answered 429."))
        one.admission.reset(KEY)
        await exchanged(one, two)
        assert two.admission.rest_s(KEY) == 60.0


async def test_a_person_who_resets_the_breaker_here_has_the_last_word_until_it_opens_again(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    async with routers_at(redis_server.url, clock) as (one, two):
        one.fail()
        await exchanged(one, two)
        two.admission.reset(KEY)
        await exchanged(one, two)
        assert two.admits("a")
        clock.advance(OPEN_S)
        # Its probe fails.
        one.fail()
        await exchanged(one, two)
        assert not two.admits("a")


async def test_what_is_held_off_for_another_router_is_not_told_on(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    async with routers_at(redis_server.url, clock, 3) as (one, two, three):
        one.fail()
        await exchanged(one, two, three)
        one.admission.reset(KEY)
        await exchanged(one, two, three)
        assert two.admits("a")
        assert three.admits("a")


async def test_a_call_that_waits_for_a_target_that_fails_elsewhere_waits_no_longer(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    async with routers_at(redis_server.url, clock, names=("a",), capacity=1) as (one, two):
        await two.begin("a")
        got: list[object] = []

        async def wait() -> None:
            got.append(await two.pool.acquire(two.admits, ANY))

        with anyio.fail_after(SLOW_MACHINE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                assert two.pool.waiting == 1
                one.fail()
                await exchanged(one, two)
        assert got == [None]


async def test_a_transition_is_told_at_once(
    redis_server: RedisServer, clock: ManualClock, redis: Redis
) -> None:
    async with (
        routers_at(redis_server.url, clock, interval_s=600) as (one, two),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(one.sharing.run)
        with anyio.fail_after(SLOW_MACHINE_S):
            # Its first exchange is over, and the next one is far off.
            while not keys_of(redis, one.sharing.router):
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            one.fail()
            while two.admits("a"):
                await exchanged(two)
            one.admission.reset(KEY)
            while not two.admits("a"):
                await exchanged(two)
        tasks.cancel_scope.cancel()


async def test_routers_that_run_hear_of_each_other_and_one_that_stops_goes_on_alone(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    async with routers_at(redis_server.url, clock, interval_s=0.01) as (one, two):
        await one.begin("a", 3)
        with anyio.fail_after(SLOW_MACHINE_S):
            async with anyio.create_task_group() as tasks:
                for router in (one, two):
                    tasks.start_soon(router.sharing.run)
                while two.elsewhere()["a"] != 3:
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        assert two.elsewhere() == {"a": 0, "b": 0}


async def test_windows_of_targets_and_services_hold_what_all_routers_saw(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    async with routers_at(redis_server.url, clock, 3) as routers:
        one, two, three = routers
        one.record("a", 10, 900)
        two.record("a", 1000, 100)
        for router in routers:
            for _ in range(10):
                router.windows.of("time").record(Result.TIMEOUT, 50)
        await exchanged(*routers)
        every = merged([router.pool.get("a").state.window.snapshot() for router in routers])
        assert every.p95_ms > 500
        for router in routers:
            summary = router.pool.get("a").state.window.summary()
            assert (summary.requests, summary.p95_ms) == (1000, every.p95_ms)
            assert router.windows.of("time").summary().requests == 30
        # Heard again, it counts no more than once.
        await exchanged(*routers)
        assert three.pool.get("a").state.window.summary().requests == 1000


async def test_many_windows_have_their_turn(redis_server: RedisServer, clock: ManualClock) -> None:
    names = tuple(f"t{number}" for number in range(2 * MOST_READ + 5))
    async with routers_at(redis_server.url, clock, names=names) as (one, two):
        for name in names:
            one.record(name, 10, 1)
        for _ in range(8):
            await exchanged(one, two)
        assert {two.pool.get(name).state.window.summary().requests for name in names} == {1}


async def test_routers_of_different_gateways_do_not_mix(
    redis_server: RedisServer, clock: ManualClock, redis: Redis
) -> None:
    async with (
        routers_at(redis_server.url, clock, source="http://secret.example") as (one, alike),
        routers_at(redis_server.url, clock, 1, source="http://other.example") as (stranger,),
    ):
        await one.begin("a", 5)
        one.record("a", 10)
        one.fail()
        await exchanged(one, alike, stranger)
        assert alike.elsewhere()["a"] == 5
        assert stranger.elsewhere()["a"] == 0
        assert stranger.pool.get("a").state.window.summary().requests == 0
        assert stranger.admits("a")
        assert not [key for key in keys_of(redis) if "example" in key]


@pytest.mark.parametrize("count", [2, 4])
async def test_an_exchange_takes_little_of_the_event_loop(
    redis_server: RedisServer, clock: ManualClock, count: int
) -> None:
    names = tuple(f"http://head-{number}.example:4444" for number in range(20))
    async with routers_at(redis_server.url, clock, count, names=names) as routers:
        for router in routers:
            for name in names:
                await router.begin(name)
                for number in range(200):
                    router.pool.get(name).state.window.record(Result.SUCCESS, 2.0 ** (number % 10))
        await exchanged(*routers)
        took_ms: list[float] = []
        for _ in range(30):
            started = time.thread_time()
            assert await routers[0].sharing.exchange()
            took_ms.append((time.thread_time() - started) * 1000)
        # The least of them: what a busy machine adds is not the exchange's.
        assert min(took_ms) <= 5.0, f"{median(took_ms):.2f} ms in the middle"


async def test_a_held_target_refuses_with_the_time_that_is_left(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    async with routers_at(redis_server.url, clock) as (one, two):
        one.fail()
        await exchanged(one, two)
        with pytest.raises(BreakerOpen) as caught:
            two.admission.admit(CallKeys.of("a"))
        assert OPEN_S - LIFE_S < caught.value.retry_after_s <= OPEN_S
