"""A replayed day of work, and how much of it the cache answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from tests.unit.cache.samples import CATALOG, Computing, DictTier, a_key
from tool_router.cache.decision import CacheStats, DecisionCache
from tool_router.cache.tier import MemoryTier, Tier
from tool_router.evaluation.workload import DAY_S, day_of_work

pytestmark = pytest.mark.anyio

TASKS = [f"task number {number}" for number in range(200)]
REQUESTS = 1_500


def test_the_same_seed_gives_the_same_day() -> None:
    assert list(day_of_work(TASKS, 50, seed=1)) == list(day_of_work(TASKS, 50, seed=1))
    assert list(day_of_work(TASKS, 50, seed=1)) != list(day_of_work(TASKS, 50, seed=2))


def test_frequencies_follow_zipfs_law() -> None:
    counts = Counter(arrival.task for arrival in day_of_work(TASKS, 100_000, seed=1))
    by_rank = [count for _, count in counts.most_common()]
    assert by_rank[0] / by_rank[9] == pytest.approx(10, rel=0.15)
    assert by_rank[0] / by_rank[99] == pytest.approx(100, rel=0.3)


def test_a_day_is_about_as_long_as_asked_and_time_never_falls() -> None:
    times = [arrival.at_s for arrival in day_of_work(TASKS, REQUESTS, seed=1)]
    assert times == sorted(times)
    assert 0.7 * DAY_S < times[-1] < 1.4 * DAY_S


def test_without_tasks_there_is_no_day() -> None:
    with pytest.raises(ValueError, match="tasks"):
        list(day_of_work([], 5, seed=1))


async def replay(seed: int, lower: list[Tier]) -> CacheStats:
    now = 0.0
    cache = DecisionCache(MemoryTier(300.0, clock=lambda: now), lower)
    compute = Computing()
    for arrival in day_of_work(TASKS, REQUESTS, seed=seed):
        now = arrival.at_s
        await cache.rank(a_key(arrival.task), CATALOG, compute)
        await cache.flush()
    stats = cache.stats()
    assert stats.answered + compute.times == REQUESTS
    return stats


def rates(stats: CacheStats) -> Mapping[str, float]:
    return {name: tier.hits / stats.requests for name, tier in stats.tiers.items()}


@pytest.mark.parametrize("seed", range(3))
async def test_more_than_four_fifths_of_a_day_of_work_are_answered_from_the_cache(seed: int) -> None:
    stats = await replay(seed, [DictTier("store")])
    assert stats.hit_rate > 0.8, rates(stats)


async def test_the_slower_tiers_answer_what_memory_has_forgotten() -> None:
    alone = await replay(0, [])
    both = await replay(0, [DictTier("store")])
    assert both.tiers["memory"].hits == alone.tiers["memory"].hits
    assert both.hit_rate > alone.hit_rate + 0.1
