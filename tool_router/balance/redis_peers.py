"""Where routers find what the others tell: keys in a Redis, each for a number of seconds.

Under `tool-router:balance:` and a hash of what is behind the targets there are

    routers                   a sorted set of router ids, by when Redis last heard of them
    ROUTER                    that router's report
    ROUTER:WINDOW             how it saw a target or a service of late

Errors of Redis pass through; nothing here has a limit of time but connecting.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tool_router.cache.redis_tier import without_secrets

PREFIX = "tool-router:balance:"
"""Before every key, so that the Redis may hold other things too."""
LIFE_S = 5.0
"""How long a report counts when its router is silent."""
WINDOW_LIFE_S = 30.0
"""The same for windows, which are written in turns."""
MOST_ROUTERS = 64
"""Other routers that are listened to, those heard of last."""
CONNECT_S = 1.0
"""Longest that connecting takes."""


@dataclass(frozen=True, slots=True)
class Peers:
    """Who else was there a moment ago.

    Attributes:
        routers: the ids of the other routers.
        now_ms: the time by Redis's clock, the only one that means the same to all.
    """

    routers: Sequence[str]
    now_ms: int


@dataclass(frozen=True, slots=True)
class Told:
    """What the other routers tell.

    Attributes:
        reports: by router, each with its age in seconds; silent routers are missing.
        windows: for each that was asked for, what the routers saw of it, as far as they did.
    """

    reports: Mapping[str, tuple[bytes, float]]
    windows: Mapping[str, Sequence[bytes]]


class RedisPeers:
    """The other routers of one source.

    Args:
        url: the address of the Redis.
        source: identifies what is behind the targets; routers with another one are strangers.

    Attributes:
        router: this router's id.
        where: the address without its secrets.

    Raises:
        ValueError: the address is none of a Redis.
    """

    def __init__(self, url: str, source: str) -> None:
        # redis leaves the keywords of its constructors without types.
        connections = ConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
            url,
            # One is used at a time; a use that was cut off gives its connection back a moment later.
            max_connections=4,
            socket_connect_timeout=CONNECT_S,
            # A connection that the server closed meanwhile is opened again, once.
            retry=Retry(NoBackoff(), 1),
        )
        self._redis = Redis.from_pool(connections)
        self._prefix = f"{PREFIX}{hashlib.sha256(source.encode()).hexdigest()[:16]}:"
        self._routers = self._prefix + "routers"
        self.router = secrets.token_hex(8)
        self.where = without_secrets(url)

    async def look(self) -> Peers:
        """See who else is there."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            # redis leaves keywords of these without types.
            pipeline.time()  # pyright: ignore[reportUnknownMemberType]
            pipeline.zrange(  # pyright: ignore[reportUnknownMemberType]
                self._routers, 0, MOST_ROUTERS, desc=True, withscores=True
            )
            (seconds, microseconds), rows = await pipeline.execute()
        now_ms = seconds * 1000 + microseconds // 1000
        found = [router.decode(errors="replace") for router, at in rows if abs(at - now_ms) <= _ms(LIFE_S)]
        return Peers([router for router in found if router != self.router][:MOST_ROUTERS], now_ms)

    async def exchange(
        self, peers: Peers, report: bytes, windows: Mapping[str, bytes], wanted: Sequence[str]
    ) -> Told:
        """Write what this router tells and read what the others do, in one round trip.

        Args:
            peers: who is listened to.
            report: what to tell of this moment.
            windows: how this router saw some of its targets and services.
            wanted: the windows to read.
        """
        routers, life_ms = peers.routers, _ms(LIFE_S)
        async with self._redis.pipeline(transaction=False) as pipeline:
            if routers:
                pipeline.mget([self._prefix + router for router in routers])
                for router in routers:
                    pipeline.pttl(self._prefix + router)
                if wanted:
                    pipeline.mget([f"{self._prefix}{router}:{name}" for name in wanted for router in routers])
            pipeline.set(self._prefix + self.router, report, px=life_ms)
            for name, snapshot in windows.items():
                pipeline.set(f"{self._prefix}{self.router}:{name}", snapshot, px=_ms(WINDOW_LIFE_S))
            pipeline.zadd(self._routers, {self.router: peers.now_ms})
            pipeline.zremrangebyscore(self._routers, "-inf", peers.now_ms - life_ms)
            # From before Redis's clock was set back.
            pipeline.zremrangebyscore(self._routers, peers.now_ms + life_ms, "+inf")
            pipeline.pexpire(self._routers, _ms(WINDOW_LIFE_S))
            answers: list[Any] = await pipeline.execute()
        if not routers:
            return Told({}, dict.fromkeys(wanted, ()))
        count = len(routers)
        left_ms: Sequence[int] = answers[1 : 1 + count]
        reports: dict[str, tuple[bytes, float]] = {}
        for router, data, left in zip(routers, answers[0], left_ms, strict=True):
            # One that never expires was not written by a router.
            if data is not None and left >= 0:
                reports[router] = data, max(0.0, LIFE_S - left / 1000)
        rows: Sequence[bytes | None] = answers[1 + count] if wanted else ()
        return Told(
            reports,
            {
                name: [data for data in rows[at * count : (at + 1) * count] if data is not None]
                for at, name in enumerate(wanted)
            },
        )

    async def tell(self, report: bytes) -> None:
        """Replace this router's report, and read nothing."""
        await self._redis.set(self._prefix + self.router, report, px=_ms(LIFE_S))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._redis.aclose(close_connection_pool=True)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
