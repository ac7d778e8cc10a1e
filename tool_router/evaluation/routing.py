"""How long routing decisions take, rung by rung, without any host and any tool call."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import numpy as np

from tool_router.ai.relevance import EmbedRelevance
from tool_router.cache.decision import DecisionCache
from tool_router.cache.row_tier import RowTier
from tool_router.cache.store import Store
from tool_router.cache.tier import MemoryTier
from tool_router.catalog.keeper import Snapshot
from tool_router.catalog.model import Catalog
from tool_router.config import Settings
from tool_router.evaluation.sample_catalog import sample_catalog
from tool_router.evaluation.timed_provider import TimedProvider
from tool_router.evaluation.workload import day_of_work
from tool_router.scoring.keyword import KeywordIndex
from tool_router.selector import Selector

FIRST_DELAY_S = 0.0
BUDGET_S = 50.0
HANGING_S = 3_600.0
DAY_TASKS = 200
DAY_REQUESTS = 2_000


@dataclass(frozen=True, slots=True)
class RoutingTimes:
    """Times of one kind of decision, in milliseconds.

    Attributes:
        kind: which rung, or what was special about it.
        own_average: the average without the time of the embedding host.
        errors: share of the decisions that failed or were reached on another rung than the one measured.
    """

    kind: str
    n: int
    average: float
    p50: float
    p95: float
    p99: float
    own_average: float
    errors: float


@dataclass(frozen=True, slots=True)
class RoutingReport:
    """Times by kind, and what was measured.

    Attributes:
        hit_rates: of a seeded day of work, for each tier of the decision cache, and together ("all").
    """

    tools: int
    host_ms: float
    limit_ms: float
    times: tuple[RoutingTimes, ...]
    hit_rates: Mapping[str, float]


async def measure(
    *,
    tools: int,
    decisions: int,
    host_ms: float,
    on_progress: Callable[[str], None] = lambda kind: None,
) -> RoutingReport:
    """Measure decisions on a made-up catalog, with an embedding host that answers after a given time.

    Args:
        tools: size of the catalog.
        decisions: how many of each kind.
        host_ms: how long the host takes for an answer.
        on_progress: told what is measured next.
    """
    settings = Settings()
    catalog = Catalog(sample_catalog(tools), time.time(), "bench")
    snapshot = Snapshot(catalog, KeywordIndex.build(catalog.tools), "", stale=False, age_s=0.0, error=None)
    provider = TimedProvider(FIRST_DELAY_S)
    limit_s = settings.relevance.timeout_s
    found: list[RoutingTimes] = []
    async with Store.open(None) as store, prepared(provider, store, catalog, limit_s) as relevance:
        by_words, by_vectors = Selector(settings), Selector(settings, relevance)
        provider.delay_s = host_ms / 1000
        for kind, selector, tasks in (
            ("keyword", by_words, _tasks(decisions, "keyword")),
            ("embed", by_vectors, _tasks(decisions, "embed")),
            ("embed, task seen before", by_vectors, _tasks(decisions, "embed")),
        ):
            on_progress(kind)
            rung = kind.split(",", maxsplit=1)[0]

            async def decide(task: str, selector: Selector = selector, rung: str = rung) -> bool:
                selection = await selector.rank(snapshot, task, "", BUDGET_S)
                return selection.ranking.rung.value == rung

            found.append(await _timed(kind, tasks, decide, provider))
        on_progress("decided before")
        by_cache = Selector(settings, relevance, decisions=DecisionCache(MemoryTier(settings.cache.memory_s)))
        for task in (repeated := _tasks(decisions, "cache")):
            await by_cache.rank(snapshot, task, "", BUDGET_S)

        async def from_memory(task: str) -> bool:
            return (await by_cache.rank(snapshot, task, "", BUDGET_S)).ranking.cached == "memory"

        found.append(await _timed("decided before", repeated, from_memory, provider))
        on_progress("a day of work")
        provider.delay_s = 0.0
        rates = await _hit_rates(settings, relevance, snapshot, store)
        on_progress("host hangs")
        provider.delay_s = HANGING_S

        async def give_up(task: str) -> bool:
            return (await by_vectors.rank(snapshot, task, "", BUDGET_S)).ranking.rung.value == "keyword"

        found.append(await _timed("host hangs, first request", _tasks(1, "hangs"), give_up, provider))
        found.append(await _timed("host hangs, the next", _tasks(decisions, "later"), give_up, provider))
    return RoutingReport(tools, host_ms, limit_s * 1000, tuple(found), rates)


@asynccontextmanager
async def prepared(
    provider: TimedProvider, store: Store, catalog: Catalog, limit_s: float
) -> AsyncGenerator[EmbedRelevance]:
    """Relevance with the catalog's vectors ready."""
    relevance = EmbedRelevance(provider, store, query_timeout_s=limit_s)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(relevance.run)
        relevance.prepare(catalog)
        await relevance.settled()
        yield relevance
        tasks.cancel_scope.cancel()


async def _hit_rates(
    settings: Settings, relevance: EmbedRelevance, snapshot: Snapshot, store: Store
) -> dict[str, float]:
    """How often the tiers answer on a seeded day of work, whose hours pass at once."""
    now = [0.0]
    memory = MemoryTier(settings.cache.memory_s, clock=lambda: now[0])
    cache = DecisionCache(memory, [RowTier(store)])
    selector = Selector(settings, relevance, decisions=cache)
    for arrival in day_of_work(_tasks(DAY_TASKS, "the day"), DAY_REQUESTS, seed=0):
        now[0] = arrival.at_s
        await selector.rank(snapshot, arrival.task, "", BUDGET_S)
        await cache.flush()
    stats = cache.stats()
    return {name: tier.hits / stats.requests for name, tier in stats.tiers.items()} | {"all": stats.hit_rate}


async def _timed(
    kind: str, tasks: Sequence[str], decide: Callable[[str], Awaitable[bool]], provider: TimedProvider
) -> RoutingTimes:
    ms: list[float] = []
    own: list[float] = []
    wrong = 0
    for task in tasks:
        waited, started = provider.waited_s, time.perf_counter()
        wrong += not await decide(task)
        ms.append((time.perf_counter() - started) * 1000)
        own.append(ms[-1] - (provider.waited_s - waited) * 1000)
    p50, p95, p99 = (float(np.percentile(ms, share)) for share in (50, 95, 99))
    return RoutingTimes(
        kind, len(ms), float(np.mean(ms)), p50, p95, p99, float(np.mean(own)), wrong / len(ms)
    )


def _tasks(count: int, about: str) -> list[str]:
    """Tasks that differ from each other and speak of the sample catalog's things."""
    things = ("invoice", "ticket", "contact", "document", "order", "booking")
    verbs = ("list", "create", "update", "find", "show")
    return [
        f"{verbs[n % len(verbs)]} the {things[n % len(things)]} number {n} of desk {n % 40} for {about}"
        for n in range(count)
    ]
