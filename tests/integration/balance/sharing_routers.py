"""Routers of one process that share their targets through a real Redis."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from redis import Redis

from tests.unit.balance.clock import ManualClock
from tool_router.balance.admission import Admission
from tool_router.balance.breaker import BreakerSettings
from tool_router.balance.outcome import CallKeys
from tool_router.balance.pool import Pool
from tool_router.balance.redis_peers import PREFIX
from tool_router.balance.redis_sharing import Sharing
from tool_router.balance.requirements import CallRequest
from tool_router.balance.selecting import Selecting
from tool_router.balance.service_windows import ServiceWindows
from tool_router.balance.target_state import TargetSpec
from tool_router.balance.window import Result
from tool_router.errors import GatewayUnreachable

ANY = CallRequest()
KEY = "target:a"
OPEN_S = 30.0
SLOW_MACHINE_S = 20.0


class Router:
    """A pool with its breakers and windows, and what shares them."""

    def __init__(
        self,
        url: str,
        clock: ManualClock,
        *,
        source: str = "http://gateway",
        strategy: str = "least_loaded",
        names: tuple[str, ...] = ("a", "b"),
        capacity: int = 0,
        interval_s: float = 1.0,
    ) -> None:
        self.clock = clock
        self.pool = Pool[str](Selecting(strategy), clock=clock)
        for name in names:
            self.pool.add(TargetSpec(name, capacity=capacity), name)
        self.admission = Admission(BreakerSettings(failure_threshold=1, open_s=OPEN_S), clock)
        self.windows = ServiceWindows(clock)
        self.sharing = Sharing(
            url,
            self.pool,
            self.admission,
            self.windows,
            source=source,
            clock=clock,
            interval_s=interval_s,
        )

    def admits(self, name: str) -> bool:
        return self.admission.refusal(CallKeys.of(name)) is None

    async def begin(self, name: str, calls: int = 1) -> None:
        for _ in range(calls):
            assert await self.pool.acquire(lambda one: one == name, ANY) is not None

    def chosen(self, times: int = 20) -> set[str]:
        found = (self.pool.choose(self.admits, ANY) for _ in range(times))
        return {member.name for member in found if member is not None}

    def elsewhere(self) -> dict[str, int]:
        return {member.name: member.state.in_flight_elsewhere for member in self.pool.members()}

    def fail(self, key: str = KEY) -> None:
        keys = CallKeys({"target": key})
        self.admission.failed(keys, self.admission.admit(keys), GatewayUnreachable("It refused."))

    def record(self, name: str, ms: float, calls: int = 100) -> None:
        for _ in range(calls):
            self.pool.get(name).state.window.record(Result.SUCCESS, ms)


async def exchanged(*routers: Router) -> None:
    """Every router knows what every other one told."""
    for router in routers * 2:
        assert await router.sharing.exchange()


@asynccontextmanager
async def routers_at(
    url: str, clock: ManualClock, count: int = 2, **settings: Any
) -> AsyncGenerator[tuple[Router, ...]]:
    routers = tuple(Router(url, clock, **settings) for _ in range(count))
    try:
        yield routers
    finally:
        for router in routers:
            await router.sharing.aclose()


def keys_of(redis: Redis, ending: str = "") -> list[str]:
    # redis leaves the result of this method without a type.
    found: Any = redis.keys(f"{PREFIX}*{ending}")  # pyright: ignore[reportUnknownMemberType]
    return sorted(key.decode() for key in found)


def limit_memory(redis: Redis, most: str) -> None:
    # redis leaves the keywords of this method without types.
    redis.config_set("maxmemory", most)  # pyright: ignore[reportUnknownMemberType]
