"""The decisions that routers share, in Redis. Imported only where a Redis is configured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import anyio
import structlog
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tool_router.cache.rest import Rest

PREFIX = "tool-router:decision:"
"""Before every key, so that the Redis may hold other things too."""

CONNECTIONS = 8
GET_S = 0.08
"""Longest a lookup takes; a Redis that needs longer is no faster than ranking."""
WRITE_S = 1.0
"""Longest a batch takes; nobody waits for it."""


class RedisTier:
    """The tier in Redis; a Redis that fails is left alone for a while, and that is said once.

    Args:
        url: its address; a password in it is never logged.
        ttl_s: how long a decision is kept, in seconds.
        clock: monotonic, in seconds.
    """

    name = "redis"

    def __init__(self, url: str, ttl_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        # redis leaves the keywords of its constructors without types.
        pool = ConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
            url,
            # One more than are used at once: a cancelled lookup gives its connection back a moment later.
            max_connections=2 * CONNECTIONS,
            socket_connect_timeout=WRITE_S,
            socket_timeout=WRITE_S,
            # A connection that the server closed meanwhile is opened again, once.
            retry=Retry(NoBackoff(), 1),
        )
        self._redis = Redis.from_pool(pool)
        self._limiter = anyio.Semaphore(CONNECTIONS)
        self._ttl_ms = max(1, round(ttl_s * 1000))
        self._where = without_secrets(url)
        self._rest = Rest(clock)
        self._failures = 0

    @property
    def failures(self) -> int:
        """How often it could not be asked or written."""
        return self._failures

    async def get(self, key: str) -> bytes | None:
        """What is kept under a key; None when there is nothing, or Redis does not answer in time."""
        if not self._rest.may_try(GET_S):
            return None
        try:
            with anyio.fail_after(GET_S):
                async with self._limiter:
                    found: object = await self._redis.get(PREFIX + key)
        except (RedisError, OSError) as error:
            self._failed(error)
            return None
        self._worked()
        return found if isinstance(found, bytes) else None

    async def put(self, entries: Mapping[str, bytes]) -> None:
        """Keep entries, in one round trip; they are dropped when Redis does not take them."""
        if not self._rest.may_try(WRITE_S):
            return
        try:
            with anyio.fail_after(WRITE_S):
                async with self._limiter, self._redis.pipeline(transaction=False) as pipeline:
                    for key, blob in entries.items():
                        pipeline.set(PREFIX + key, blob, px=self._ttl_ms)
                    await pipeline.execute()
        except (RedisError, OSError) as error:
            self._failed(error)
        else:
            self._worked()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._redis.aclose(close_connection_pool=True)

    def _worked(self) -> None:
        if self._rest.worked():
            structlog.get_logger().info("redis_cache_back", where=self._where)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._rest.failed():
            structlog.get_logger().warning(
                "redis_cache_failed",
                where=self._where,
                reason=str(error) or type(error).__name__,
                next_step="Decisions are not shared until it answers again; check cache.redis_url.",
            )


def without_secrets(url: str) -> str:
    """The address without user, password and parameters."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
