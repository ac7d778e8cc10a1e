"""Decisions in the store: kept between runs, pruned by age and by number."""

from __future__ import annotations

import pytest

from tests.integration.store.conftest import Place
from tests.unit.cache.samples import CATALOG, Computing, a_key, refused
from tool_router.cache.assembly import build_decision_cache
from tool_router.cache.store import DECISIONS_KEPT, DECISIONS_KEPT_S
from tool_router.config import CacheSettings

pytestmark = pytest.mark.anyio


async def test_a_decision_outlives_the_run(place: Place) -> None:
    async with place.open() as store:
        cache = build_decision_cache(CacheSettings(), store)
        async with cache.running():
            await cache.rank(a_key(), CATALOG, Computing())
    async with place.open() as store:
        cache = build_decision_cache(CacheSettings(), store)
        async with cache.running():
            assert (await cache.rank(a_key(), CATALOG, refused)).cached == "store"


async def test_a_decision_is_replaced_and_others_are_absent(place: Place) -> None:
    async with place.open() as store:
        await store.save_decisions({"a": b"one", "b": b"two"})
        await store.save_decisions({"a": b"three"})
        assert [await store.decision(key) for key in "abc"] == [b"three", b"two", None]


async def test_an_old_decision_is_a_miss_and_is_deleted_with_the_next_write(place: Place) -> None:
    now = 1e9
    async with place.open(lambda: now) as store:
        await store.save_decisions({"old": b"1"})
        now += DECISIONS_KEPT_S
        assert await store.decision("old") == b"1"
        now += 1
        assert await store.decision("old") is None
        await store.save_decisions({"new": b"2"})
        now -= 1
        assert await store.decision("old") is None
        assert await store.decision("new") == b"2"


async def test_the_oldest_decisions_beyond_the_bound_are_deleted(place: Place) -> None:
    now = 1e9
    async with place.open(lambda: now) as store:
        await store.save_decisions({"first": b"1", "second": b"2"})
        now += 1
        await store.save_decisions({str(number): b"" for number in range(DECISIONS_KEPT - 1)})
        kept = [await store.decision(key) for key in ("first", "second")]
        assert kept.count(None) == 1
        now += 1
        await store.save_decisions({"last": b"3"})
        assert [await store.decision(key) for key in ("first", "second", "last")] == [None, None, b"3"]
