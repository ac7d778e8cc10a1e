"""How a target did with each category of task: sums that fade with time, in a bounded number. Pure.

A sum halves in each `half_life_s`, so that old outcomes lose their say without being kept one by one.
"""

from __future__ import annotations

from collections.abc import Mapping

from tool_router.balance.tally import Result, is_timed

MOST_CATEGORIES = 16
"""Kept for a target; the one that was used least recently goes first."""
LONGEST_NAME = 64


class CategoryRecord:
    """Faded sums of the outcomes of one category.

    Attributes:
        calls: how many calls there were.
        succeeded: how many of them succeeded.
        timed: how many response times there were.
        latency_ms: the sum of these.
        rated: how many answers were rated.
        quality: the sum of these ratings.
    """

    __slots__ = ("_at", "calls", "latency_ms", "quality", "rated", "succeeded", "timed")

    def __init__(self, now: float) -> None:
        self._at = now
        self.calls = 0.0
        self.succeeded = 0.0
        self.timed = 0.0
        self.latency_ms = 0.0
        self.rated = 0.0
        self.quality = 0.0

    def fade(self, now: float, half_life_s: float) -> None:
        """Lower every sum by the time that has passed."""
        kept = 0.5 ** ((now - self._at) / half_life_s)
        self._at = now
        self.calls *= kept
        self.succeeded *= kept
        self.timed *= kept
        self.latency_ms *= kept
        self.rated *= kept
        self.quality *= kept


class CategoryRecords:
    """The records of one target, by category.

    Args:
        half_life_s: in which a record loses half its weight.
    """

    __slots__ = ("_by_name", "_half_life_s")

    def __init__(self, half_life_s: float) -> None:
        self._half_life_s = half_life_s
        self._by_name: dict[str, CategoryRecord] = {}

    def call(self, category: str, result: Result, ms: float, now: float) -> None:
        """Add a call."""
        record = self._renewed(category, now)
        record.calls += 1.0
        if result is Result.SUCCESS:
            record.succeeded += 1.0
        if is_timed(result):
            record.timed += 1.0
            record.latency_ms += ms

    def rating(self, category: str, quality: float, now: float) -> None:
        """Add a rating in [0, 1]."""
        record = self._renewed(category, now)
        record.rated += 1.0
        record.quality += quality

    def get(self, category: str, now: float) -> CategoryRecord | None:
        """The record of a category as it counts now; None without any."""
        record = self._by_name.get(category[:LONGEST_NAME])
        if record is not None:
            record.fade(now, self._half_life_s)
        return record

    def view(self) -> Mapping[str, CategoryRecord]:
        """Every record, the one that was used least recently first."""
        return dict(self._by_name)

    def clear(self) -> None:
        """Forget everything."""
        self._by_name.clear()

    def _renewed(self, category: str, now: float) -> CategoryRecord:
        name = category[:LONGEST_NAME]
        record = self._by_name.pop(name, None)
        if record is None:
            record = CategoryRecord(now)
            if len(self._by_name) >= MOST_CATEGORIES:
                del self._by_name[next(iter(self._by_name))]
        else:
            record.fade(now, self._half_life_s)
        self._by_name[name] = record
        return record
