"""Decisions on their way to a slow tier: written in the background, in batches, never waited for."""

from __future__ import annotations

import anyio

from tool_router.cache.tier import Tier

MAX_PENDING = 1_000
"""Decisions that wait for a tier; the oldest are dropped beyond, for they can be computed again."""
FLUSH_S = 0.2
"""Decisions come in bursts; one round trip takes what came within this time."""


class WriteBehind:
    """The entries that one tier has yet to write.

    Args:
        tier: where they go.
        flush_s: how long the first of a batch waits for others, in seconds.
    """

    def __init__(self, tier: Tier, flush_s: float = FLUSH_S) -> None:
        self.tier = tier
        self._flush_s = flush_s
        self._pending: dict[str, bytes] = {}
        self._wanted = anyio.Event()

    def __len__(self) -> int:
        return len(self._pending)

    def put(self, key: str, blob: bytes) -> None:
        """Take an entry; returns at once."""
        self._pending.pop(key, None)
        self._pending[key] = blob
        if len(self._pending) > MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        self._wanted.set()

    async def run(self) -> None:
        """Write what comes, until cancelled."""
        while True:
            await self._wanted.wait()
            await anyio.sleep(self._flush_s)
            await self.flush()

    async def flush(self) -> None:
        """Write what is there now."""
        self._wanted = anyio.Event()
        pending, self._pending = self._pending, {}
        if pending:
            await self.tier.put(pending)
