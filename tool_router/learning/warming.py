"""Ranks the tasks that will probably come next ahead of time, while nobody waits for anything."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import structlog
from cachetools import TTLCache

from tool_router.errors import StoreError, ToolRouterError
from tool_router.learning.recorder import OutcomeStore
from tool_router.learning.successors import Successors

QUIET_S = 0.5
"""How long nothing must have been asked before anything is warmed: calls come in bursts."""
AHEAD = 3
"""Tasks ranked ahead after a request."""
BUDGET_S = 5.0
"""Longest all of them together may take."""
AGAIN_S = 240.0
"""A task is not ranked ahead again within this time: its decision is still in memory."""
HISTORY = 2_000
"""Outcomes of earlier runs that are learned from."""
LEAST_CHANCE = 0.05
"""A task less likely than this is not worth the work."""


@dataclass(slots=True)
class WarmingStats:
    """What warming did since the start.

    Attributes:
        warmed: tasks ranked ahead.
        interrupted: rankings that a request, or the time limit, cut off.
        failed: rankings that failed.
    """

    warmed: int = 0
    interrupted: int = 0
    failed: int = 0


class Warmer:
    """Ranks likely next tasks in idle time, never while a request is under way.

    Args:
        rank: ranks a task and keeps the decision.
        successors: says what is likely; it observes every request.
        ahead: how many tasks are ranked after a request, at most.
        budget_s: how long that may take, in seconds.
        quiet_s: how long nothing must have been asked before, in seconds.
        clock: Unix time, in seconds.
    """

    def __init__(
        self,
        rank: Callable[[str], Awaitable[object]],
        successors: Successors,
        *,
        ahead: int = AHEAD,
        budget_s: float = BUDGET_S,
        quiet_s: float = QUIET_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rank = rank
        self._successors = successors
        self._ahead = ahead
        self._budget_s = budget_s
        self._quiet_s = quiet_s
        self._clock = clock
        self._under_way = 0
        self._last = ""
        self._asked = anyio.Event()
        self._round: anyio.CancelScope | None = None
        self._recent = TTLCache[str, bool, float](256, AGAIN_S, clock)
        self._log = structlog.get_logger()
        self.stats = WarmingStats()

    @contextmanager
    def request(self, task: str) -> Generator[None]:
        """Hold this around a request: what is being warmed stops at once; nothing starts before its end."""
        self._under_way += 1
        if self._round is not None:
            self._round.cancel()
        if task.strip():
            self._last = task
            self._successors.observe(task, self._clock())
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._asked.set()

    async def run(self, store: OutcomeStore | None = None, source: str = "") -> None:
        """Warm after each burst of requests, until cancelled.

        Args:
            store: holds what followed what in earlier runs; None knows only this one.
            source: the gateway whose outcomes count.
        """
        if store is not None:
            try:
                self._successors.learn(await store.outcomes(source, HISTORY))
            except StoreError as error:
                self._log.debug("history_not_read", reason=str(error))
        while True:
            await self._asked.wait()
            self._asked = anyio.Event()
            with anyio.move_on_after(self._quiet_s):
                await self._asked.wait()
            if not self._asked.is_set() and not self._under_way:
                await self._warm()

    async def _warm(self) -> None:
        now = self._clock()
        for task, chance in self._successors.likely(self._last, now, self._ahead):
            if chance < LEAST_CHANCE:
                break
            if task in self._recent:
                continue
            with anyio.move_on_after(self._budget_s - (self._clock() - now)) as self._round:
                try:
                    await self._rank(task)
                except ToolRouterError as error:
                    self.stats.failed += 1
                    self._log.debug("warming_failed", reason=str(error))
                else:
                    self.stats.warmed += 1
                    self._recent[task] = True
            ended = self._round.cancelled_caught
            self._round = None
            if ended:
                self.stats.interrupted += 1
                break
