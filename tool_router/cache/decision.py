"""The decision cache: a ranking that was computed once answers the same request again, from the nearest tier.

Memory is asked first, the slower tiers together after it. A failing tier is a miss, never an error.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import anyio

from tool_router.cache.decision_key import DecisionKey
from tool_router.cache.ranking_codec import decode_ranking, encode_ranking
from tool_router.cache.single_flight import SingleFlight
from tool_router.cache.tier import Counter, MemoryTier, Tier, TierStats
from tool_router.cache.write_behind import WriteBehind
from tool_router.catalog.model import Catalog
from tool_router.scoring.ranking import Ranking

__all__ = ["CacheStats", "Compute", "DecisionCache", "DecisionKey"]

Compute = Callable[[], Awaitable[tuple[Ranking, bool]]]
"""Ranks, and says whether the ranking may be kept: a fallback may not."""

LOOKUP_S = 0.1
"""Longest a request waits for the slower tiers; computing takes about as long."""
CLOSING_S = 2.0
"""Longest an end waits for what is still to be written."""


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What the cache did since the start.

    Attributes:
        requests: rankings that were asked for.
        answered: those of them that a tier answered.
        joined: those of them that waited for another request's computation.
        tiers: what each tier did, by its name, the nearest first.
    """

    requests: int
    answered: int
    joined: int
    tiers: Mapping[str, TierStats]

    @property
    def hit_rate(self) -> float:
        """Share of requests that some tier answered, in [0, 1]; 0.0 without any."""
        return self.answered / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class _Hit:
    position: int
    blob: bytes
    ranking: Ranking


class DecisionCache:
    """Rankings by what they depend on.

    Args:
        memory: asked first; None leaves it out.
        lower: the slower tiers, the nearest first; empty leaves them out.
        lookup_s: longest a request waits for the slower tiers, in seconds.
    """

    def __init__(
        self, memory: MemoryTier | None, lower: Sequence[Tier] = (), *, lookup_s: float = LOOKUP_S
    ) -> None:
        self._memory = memory
        self._lower = [WriteBehind(tier) for tier in lower]
        self._lookup_s = lookup_s
        self._flights = SingleFlight[Ranking]()
        self._requests = 0
        self._answered = 0
        self._led = 0
        self._in_memory = Counter()
        self._counters = [Counter() for _ in lower]

    async def rank(self, key: DecisionKey, catalog: Catalog, compute: Compute) -> Ranking:
        """The ranking of a key: kept, under way for another request, or computed now.

        Those who wait for another request's computation get its result, a fallback too; a later request
        computes anew.

        Args:
            key: everything the ranking depends on, the catalog's fingerprint included.
            catalog: where the tools of a kept ranking are looked up; a tool that is gone is a miss.
            compute: ranks when nothing is kept.

        Raises:
            Exception: whatever `compute` raised.
        """
        started = time.perf_counter()
        self._requests += 1
        digest = key.digest
        kept = self._from_memory(digest, catalog)
        if kept is not None:
            return self._answer(kept, "memory", started)
        return await self._flights.run(digest, partial(self._lead, digest, catalog, compute, started))

    def stats(self) -> CacheStats:
        """What the cache did since the start."""
        tiers: dict[str, TierStats] = {}
        if self._memory is not None:
            tiers[self._memory.name] = TierStats(self._in_memory.hits, self._in_memory.misses)
        for writer, counter in zip(self._lower, self._counters, strict=True):
            tiers[writer.tier.name] = TierStats(counter.hits, counter.misses, writer.tier.failures)
        joined = self._requests - self._led - self._in_memory.hits
        return CacheStats(self._requests, self._answered, joined, tiers)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Write to the slower tiers while the block runs; what is left is written at the end."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.run)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                with anyio.move_on_after(CLOSING_S, shield=True):
                    await self.flush()
                    for writer in self._lower:
                        await writer.tier.aclose()

    async def run(self) -> None:
        """Write what was decided to the slower tiers, until cancelled."""
        async with anyio.create_task_group() as tasks:
            for writer in self._lower:
                tasks.start_soon(writer.run)

    async def flush(self) -> None:
        """Write what the slower tiers have yet to write."""
        async with anyio.create_task_group() as tasks:
            for writer in self._lower:
                tasks.start_soon(writer.flush)

    def _from_memory(self, digest: str, catalog: Catalog) -> Ranking | None:
        if self._memory is None:
            return None
        blob = self._memory.get(digest)
        ranking = None if blob is None else decode_ranking(blob, catalog.by_id)
        self._in_memory.count(hit=ranking is not None)
        return ranking

    async def _lead(self, digest: str, catalog: Catalog, compute: Compute, started: float) -> Ranking:
        self._led += 1
        if self._lower and (hit := await self._from_lower(digest, catalog)) is not None:
            self._keep(digest, hit.blob, self._lower[: hit.position])
            return self._answer(hit.ranking, self._lower[hit.position].tier.name, started)
        ranking, may_be_kept = await compute()
        if may_be_kept and (blob := encode_ranking(ranking)) is not None:
            self._keep(digest, blob, self._lower)
        return ranking

    async def _from_lower(self, digest: str, catalog: Catalog) -> _Hit | None:
        """The first hit of the slower tiers, asked together."""
        hits: list[_Hit] = []
        waiting = set(range(len(self._lower)))

        async def ask(position: int, found: anyio.CancelScope) -> None:
            blob = await self._lower[position].tier.get(digest)
            ranking = None if blob is None else decode_ranking(blob, catalog.by_id)
            waiting.discard(position)
            self._counters[position].count(hit=ranking is not None)
            if blob is not None and ranking is not None:
                hits.append(_Hit(position, blob, ranking))
                found.cancel()

        with anyio.move_on_after(self._lookup_s) as limit:
            if len(self._lower) == 1:
                # A task of its own would cost more than the lookup.
                with anyio.CancelScope() as scope:
                    await ask(0, scope)
            else:
                async with anyio.create_task_group() as tasks:
                    for position in tuple(waiting):
                        tasks.start_soon(ask, position, tasks.cancel_scope)
        if limit.cancelled_caught:
            for position in waiting:
                self._counters[position].count(hit=False)
        return hits[0] if hits else None

    def _keep(self, digest: str, blob: bytes, lower: Sequence[WriteBehind]) -> None:
        if self._memory is not None:
            self._memory.put(digest, blob)
        for writer in lower:
            writer.put(digest, blob)

    def _answer(self, kept: Ranking, tier: str, started: float) -> Ranking:
        self._answered += 1
        return replace(kept, cached=tier, elapsed_ms=(time.perf_counter() - started) * 1000)
