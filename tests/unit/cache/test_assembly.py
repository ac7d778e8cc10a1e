"""What the settings make of the decision cache: every tier can be switched off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from tool_router.cache.assembly import build_decision_cache
from tool_router.config import CacheSettings, StoreSettings


class Rows:
    """A store that keeps nothing."""

    async def decision(self, key: str) -> bytes | None:
        return None

    async def save_decisions(self, decisions: Mapping[str, bytes]) -> None:
        """Forget them."""


@pytest.mark.parametrize(
    ("said", "tiers"),
    [
        ({}, ["memory", "store"]),
        ({"redis_url": "redis://localhost"}, ["memory", "redis", "store"]),
        ({"redis_url": "rediss://:secret@host:6380/1", "persistent": False}, ["memory", "redis"]),
        ({"redis_url": "unix:///run/redis.sock", "memory_s": 0}, ["redis", "store"]),
        ({"memory_s": 0, "persistent": False}, []),
    ],
)
def test_each_tier_is_there_unless_it_is_switched_off(said: dict[str, Any], tiers: list[str]) -> None:
    cache = build_decision_cache(CacheSettings.model_validate(said), Rows())
    assert list(cache.stats().tiers) == tiers


def test_without_a_store_there_is_no_tier_for_it() -> None:
    assert list(build_decision_cache(CacheSettings(), None).stats().tiers) == ["memory"]


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (CacheSettings, "redis_url", "localhost:6379"),
        (CacheSettings, "redis_url", "http://:secret@host"),
        (CacheSettings, "redis_url", "redis://:secret@host:port"),
        (StoreSettings, "url", "mysql://me:secret@host/db"),
        (StoreSettings, "url", "secret"),
    ],
)
def test_an_address_of_another_kind_is_refused_without_being_repeated(
    kind: type[CacheSettings | StoreSettings], key: str, value: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        kind.model_validate({key: value})
    assert key in str(raised.value)
    assert "secret" not in str(raised.value)


def test_addresses_are_not_shown() -> None:
    cache = CacheSettings.model_validate({"redis_url": "redis://:secret@host"})
    store = StoreSettings.model_validate({"url": "postgresql://me:secret@host/db"})
    assert "secret" not in f"{cache!r} {store!r} {cache.model_dump_json()}"
