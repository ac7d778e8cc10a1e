"""What a tier of the decision cache is, and the one in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from cachetools import TTLCache

CAPACITY = 4096
"""Decisions in memory; one of ten candidates takes about a kilobyte."""


class Tier(Protocol):
    """A place where decisions are kept, slower than memory. It never raises: what fails is a miss."""

    @property
    def name(self) -> str:
        """What answers call it: ``redis`` or ``store``."""
        ...

    @property
    def failures(self) -> int:
        """How often it could not be asked or written."""
        ...

    async def get(self, key: str) -> bytes | None:
        """What is kept under a key; None when there is nothing, or it can't be had now."""
        ...

    async def put(self, entries: Mapping[str, bytes]) -> None:
        """Keep entries; those that can't be written are dropped."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


@dataclass(slots=True)
class Counter:
    """Hits and misses of one tier, while it runs."""

    hits: int = 0
    misses: int = 0

    def count(self, *, hit: bool) -> None:
        """Count one lookup."""
        if hit:
            self.hits += 1
        else:
            self.misses += 1


@dataclass(frozen=True, slots=True)
class TierStats:
    """What a tier did since the start.

    Attributes:
        hits: lookups it answered.
        misses: lookups it had no answer to; one that another tier answered first counts as neither.
        failures: how often it could not be asked or written.
    """

    hits: int
    misses: int
    failures: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of answered lookups, in [0, 1]; 0.0 without any."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class MemoryTier:
    """The latest decisions of this process. Synchronous: it is asked before anything else.

    Args:
        ttl_s: how long a decision is kept, in seconds.
        capacity: how many are kept; the least recently used goes first.
        clock: monotonic, in seconds.
    """

    name = "memory"

    def __init__(
        self, ttl_s: float, capacity: int = CAPACITY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kept = TTLCache[str, bytes, float](capacity, ttl_s, clock)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> bytes | None:
        """What is kept under a key, or None."""
        return self._kept.get(key)

    def put(self, key: str, blob: bytes) -> None:
        """Keep bytes under a key."""
        self._kept[key] = blob
