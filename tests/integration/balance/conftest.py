"""The Redis of the cache's tests, and routers that share it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.integration.cache.conftest import redis_server
from tests.integration.cache.redis_server import PASSWORD, RedisServer
from tests.unit.balance.clock import ManualClock

__all__ = ["redis_server"]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    with Redis(port=redis_server.port, password=PASSWORD) as redis:
        yield redis
