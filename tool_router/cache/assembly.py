"""Puts the store and the decision cache together from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import structlog

from tool_router.cache.decision import DecisionCache
from tool_router.cache.row_tier import DecisionRows, RowTier
from tool_router.cache.store import Store
from tool_router.cache.tier import MemoryTier, Tier
from tool_router.config import CacheSettings, Settings
from tool_router.location import store_path


def open_store(settings: Settings, environ: Mapping[str, str]) -> AbstractAsyncContextManager[Store]:
    """The store the settings name; it is opened with its first use.

    Raises:
        ConfigError: when entered: PostgreSQL is asked for and can't be used.
    """
    return Store.open(store_path(settings, environ), url=settings.store.url.get_secret_value())


def build_decision_cache(settings: CacheSettings, rows: DecisionRows | None) -> DecisionCache:
    """The cache that the settings ask for; nothing is connected before it is needed.

    Args:
        settings: which tiers there are, and how long they keep decisions.
        rows: the persistent store; None leaves its tier out.
    """
    lower: list[Tier] = []
    if (redis := _redis(settings)) is not None:
        lower.append(redis)
    if settings.persistent and rows is not None:
        lower.append(RowTier(rows))
    return DecisionCache(MemoryTier(settings.memory_s) if settings.memory_s else None, lower)


def _redis(settings: CacheSettings) -> Tier | None:
    url = settings.redis_url.get_secret_value()
    if not url:
        return None
    try:
        from tool_router.cache.redis_tier import RedisTier
    except ImportError:
        structlog.get_logger().warning(
            "redis_not_installed",
            next_step="Decisions are not shared. Install it with: pip install 'mcp-tool-router[redis]'",
        )
        return None
    return RedisTier(url, settings.redis_s)
