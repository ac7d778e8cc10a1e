"""How a target did over the last minutes, in bounded memory (about 10 KB). Pure, with an injected clock.

The window slides in steps: its time is cut into slices, the oldest of which is emptied when a new one begins.
So it covers between `window_s` less one slice and `window_s`. Sums over all slices are kept beside them, so
that recording is a few additions whatever the history.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tool_router.balance.breaker import Clock
from tool_router.balance.category_record import CategoryRecord, CategoryRecords
from tool_router.balance.tally import Result, Tally, bounded_ms, from_bytes, is_timed, to_bytes
from tool_router.balance.window_summary import WindowSummary, merged, summarise

__all__ = ["Estimate", "Lifetime", "PerformanceWindow", "Result", "WindowSummary", "merged"]

WINDOW_S = 300.0
SLICES = 10
RECENT_STEP = 0.1
"""What one outcome counts in the recent averages; more after a pause."""
RECENT_S = 10.0
"""Seconds after which an outcome counts as much as all before it."""
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a window says about the next call, cheap to ask for.

    Attributes:
        requests: calls in the window, those other routers told of included.
        succeeded: how many of them succeeded.
        mean_ms: mean response time over the window; None without any.
        recent_ms: that of the last outcomes; None without any of this router's own.
        recent_success: share of the last outcomes that were successes; None without any.
        age_s: seconds since this router's last outcome; infinite without any.
        rated: how many answers were rated.
        quality: the sum of these ratings.
    """

    requests: int
    succeeded: int
    mean_ms: float | None
    recent_ms: float | None
    recent_success: float | None
    age_s: float
    rated: int
    quality: float


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Sums since the window was made or reset: the difference of two is what happened between them."""

    requests: int = 0
    succeeded: int = 0
    timed: int = 0
    latency_ms: float = 0.0


class PerformanceWindow:
    """The outcomes of one target over the last `window_s` seconds.

    Args:
        clock: monotonic seconds.
        window_s: how far back it looks.
        slices: in how many steps it slides.

    Raises:
        ValueError: the time is not positive, or there are fewer than 2 slices.
    """

    def __init__(self, clock: Clock, window_s: float = WINDOW_S, slices: int = SLICES) -> None:
        if not 0 < window_s < math.inf or slices < 2:
            raise ValueError("window_s must be positive and finite, and slices at least 2")
        self.clock = clock
        self._window_s = window_s
        self._slice_s = window_s / slices
        self._count = slices
        self._categories = CategoryRecords(window_s / 2)
        self.reset()

    def reset(self) -> None:
        """Forget everything, what other routers told included."""
        now = self.clock()
        self._slices = [Tally() for _ in range(self._count)]
        self._total = Tally()
        self._started = now
        self._at = 0
        self._ends = now + self._slice_s
        self._categories.clear()
        self._recent_ms: float | None = None
        self._recent_success: float | None = None
        self._last_at = -math.inf
        self._requests = self._succeeded = self._timed = 0
        self._latency_ms = 0.0
        self._peers: Tally | None = None
        self._peers_per_minute = 0.0
        self._peers_until = -math.inf

    def record(self, result: Result, latency_ms: float, category: str = "") -> None:
        """Add the outcome of a call.

        Args:
            result: what became of it; a cancelled call is not recorded.
            latency_ms: how long it took.
            category: of its task; empty when it is not known.
        """
        now = self._turned()
        ms = bounded_ms(latency_ms)
        self._slices[self._at].call(result, ms)
        self._total.call(result, ms)
        passed_s = now - self._last_at
        self._last_at = now
        step = max(RECENT_STEP, passed_s / (passed_s + RECENT_S)) if passed_s < math.inf else 1.0
        success = 1.0 if result is Result.SUCCESS else 0.0
        before = self._recent_success
        self._recent_success = success if before is None else before + step * (success - before)
        self._requests += 1
        if success:
            self._succeeded += 1
        if is_timed(result):
            recent = self._recent_ms
            self._recent_ms = ms if recent is None else recent + step * (ms - recent)
            self._timed += 1
            self._latency_ms += ms
        if category:
            self._categories.call(category, result, ms, now)

    def feedback(self, quality: float, category: str = "") -> None:
        """Add what an answer was worth.

        Args:
            quality: in [0, 1].
            category: of the task; empty when it is not known.

        Raises:
            ValueError: the quality is out of its range.
        """
        if not 0 <= quality <= 1:
            raise ValueError("quality must be in [0, 1]")
        now = self._turned()
        self._slices[self._at].rating(quality)
        self._total.rating(quality)
        if category:
            self._categories.rating(category, quality, now)

    def summary(self) -> WindowSummary:
        """What the window holds now, with what other routers told."""
        now = self._turned()
        tally, per_minute = self._total, self._per_minute(now)
        if self._peers is not None:
            tally = Tally()
            tally.add(self._total)
            tally.add(self._peers)
            per_minute += self._peers_per_minute
        return summarise(tally, per_minute)

    def estimate(self) -> Estimate:
        """What the window says about the next call."""
        now = self._turned()
        total, peers = self._total, self._peers
        requests, succeeded = total.requests, total.results[0]
        timed, latency_ms, rated, quality = total.timed, total.latency_ms, total.rated, total.quality
        age_s = now - self._last_at
        fresh = age_s <= self._window_s
        if peers is not None:
            requests += peers.requests
            succeeded += peers.results[0]
            timed += peers.timed
            latency_ms += peers.latency_ms
            rated += peers.rated
            quality += peers.quality
        return Estimate(
            requests,
            succeeded,
            latency_ms / timed if timed else None,
            self._recent_ms if fresh else None,
            self._recent_success if fresh else None,
            age_s,
            rated,
            quality,
        )

    def category(self, category: str) -> CategoryRecord | None:
        """How it did with a category of task; None without any such call of late."""
        return self._categories.get(category, self.clock())

    def lifetime(self) -> Lifetime:
        """Sums over this router's own calls since the start or the last reset."""
        return Lifetime(self._requests, self._succeeded, self._timed, self._latency_ms)

    def snapshot(self) -> bytes:
        """This router's own outcomes in a compact form, under 1 KB; what others told is not in it."""
        now = self._turned()
        return to_bytes(self._total, self._per_minute(now))

    def adopt(self, snapshots: Iterable[bytes]) -> int:
        """Count in what other routers saw of the target, instead of what they told before.

        It is forgotten after `window_s` seconds when nothing newer comes. A snapshot that can't be read, of
        another version perhaps, is left out.

        Returns:
            How many snapshots were read.
        """
        peers = Tally()
        per_minute, read = 0.0, 0
        for data in snapshots:
            try:
                tally, pace = from_bytes(data)
            except ValueError:
                continue
            peers.add(tally)
            per_minute += pace
            read += 1
        self._peers = peers if read else None
        self._peers_per_minute = per_minute
        self._peers_until = self.clock() + self._window_s
        return read

    def _turned(self) -> float:
        """The time now, with the slices turned to it."""
        now = self.clock()
        if now >= self._ends:
            self._turn(now)
        if self._peers is not None and now >= self._peers_until:
            self._peers = None
            self._peers_per_minute = 0.0
        return now

    def _turn(self, now: float) -> None:
        """Begin a new slice, and empty those whose time has passed."""
        steps = 1 + int((now - self._ends) / self._slice_s)
        count = len(self._slices)
        for step in range(1, min(steps, count) + 1):
            self._slices[(self._at + step) % count] = Tally()
        self._at = (self._at + steps) % count
        self._ends += steps * self._slice_s
        # Added up anew rather than subtracted: differences of floats would drift.
        self._total = Tally()
        for tally in self._slices:
            self._total.add(tally)
        if not self._total.requests:
            self._recent_ms = self._recent_success = None
            self._last_at = -math.inf

    def _per_minute(self, now: float) -> float:
        """Requests per minute; within the first minute, those so far."""
        begun = max(self._started, self._ends - self._slice_s * len(self._slices))
        covered_s = max(now - begun, min(_MINUTE_S, self._window_s))
        return self._total.requests * _MINUTE_S / covered_s
