"""The Redis of the cache's tests."""

from tests.integration.cache.conftest import redis_server

__all__ = ["redis_server"]
