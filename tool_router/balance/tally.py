"""Outcomes added up: results, response times, quality; and their compact form for other routers. Pure."""

from __future__ import annotations

import math
import struct
from array import array
from enum import StrEnum

from tool_router.balance.histogram import BUCKETS, LEAST_MS, MOST_MS, bucket_of, empty_counts, widened

_MAGIC = b"tw1"
"""Names this form and the buckets of `histogram`: it changes with either."""
_SCALARS = struct.Struct("<4IIdddIdd")
_PAIR = struct.Struct("<BI")
_LARGEST = len(_MAGIC) + _SCALARS.size + BUCKETS * _PAIR.size
_MOST_COUNT = 2**32 - 1


class Result(StrEnum):
    """What became of a call, as far as its target is concerned."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"


RESULTS = tuple(Result)
_PLACE = {result: place for place, result in enumerate(RESULTS)}
_TIMED = (True, False, True, False)
"""Whether a result counts among the response times: refusals and errors are often fast, and would make a
failing target look quick."""


class Tally:
    """Sums over a number of outcomes. Mutable; `counts` is one of the response times in each bucket.

    Attributes:
        results: how many there were of each result, in the order of `RESULTS`.
        timed: how many response times there were.
        latency_ms: their sum.
        least_ms: the shortest; infinite when there was none.
        most_ms: the longest.
        rated: how many answers were rated.
        quality: the sum of these ratings, each in [0, 1].
    """

    __slots__ = ("counts", "latency_ms", "least_ms", "most_ms", "quality", "rated", "results", "timed")

    def __init__(self) -> None:
        self.counts = empty_counts()
        self.results = array("Q", (0, 0, 0, 0))
        self.timed = 0
        self.latency_ms = 0.0
        self.least_ms = math.inf
        self.most_ms = 0.0
        self.rated = 0
        self.quality = 0.0

    @property
    def requests(self) -> int:
        """How many calls there were."""
        return sum(self.results)

    def call(self, result: Result, ms: float) -> None:
        """Add a call; its time counts where `is_timed` says so."""
        self.results[_PLACE[result]] += 1
        if is_timed(result):
            self.add_times(bucket_of(ms), 1)
            self.timed += 1
            self.latency_ms += ms
            self.least_ms = min(self.least_ms, ms)
            self.most_ms = max(self.most_ms, ms)

    def rating(self, quality: float) -> None:
        """Add a rating in [0, 1]."""
        self.rated += 1
        self.quality += quality

    def add(self, other: Tally) -> None:
        """Add another tally."""
        if other.timed:
            for bucket, count in enumerate(other.counts):
                if count:
                    self.add_times(bucket, count)
        for place, count in enumerate(other.results):
            self.results[place] += count
        self.timed += other.timed
        self.latency_ms += other.latency_ms
        self.least_ms = min(self.least_ms, other.least_ms)
        self.most_ms = max(self.most_ms, other.most_ms)
        self.rated += other.rated
        self.quality += other.quality

    def add_times(self, bucket: int, count: int) -> None:
        """Add so many response times to a bucket, and to nothing else."""
        try:
            self.counts[bucket] += count
        except OverflowError:
            self.counts = widened(self.counts)
            self.counts[bucket] += count


def is_timed(result: Result) -> bool:
    """Whether the time of such a call is a response time: it succeeded, or ran into its deadline."""
    return _TIMED[_PLACE[result]]


def bounded_ms(ms: float) -> float:
    """A time as it is counted: from 0 to `MOST_MS`; what is not a number is 0."""
    return min(max(0.0, ms), MOST_MS)


def to_bytes(tally: Tally, per_minute: float) -> bytes:
    """The compact form of a tally and the pace of its requests: under 1 KB."""
    scalars = _SCALARS.pack(
        *(min(count, _MOST_COUNT) for count in tally.results),
        min(tally.timed, _MOST_COUNT),
        tally.latency_ms,
        tally.least_ms if tally.timed else 0.0,
        tally.most_ms,
        min(tally.rated, _MOST_COUNT),
        tally.quality,
        per_minute,
    )
    pairs = (
        _PAIR.pack(bucket, min(count, _MOST_COUNT)) for bucket, count in enumerate(tally.counts) if count
    )
    return b"".join((_MAGIC, scalars, *pairs))


def from_bytes(data: bytes) -> tuple[Tally, float]:
    """Read what `to_bytes` wrote: the tally and the requests per minute.

    Raises:
        ValueError: it is not of this form, or its numbers contradict each other.
    """
    start = len(_MAGIC) + _SCALARS.size
    if not data.startswith(_MAGIC) or not start <= len(data) <= _LARGEST or (len(data) - start) % _PAIR.size:
        raise ValueError("not a performance window of this version")
    tally = Tally()
    *results, tally.timed, tally.latency_ms, least_ms, tally.most_ms, tally.rated, tally.quality, pace = (
        _SCALARS.unpack_from(data, len(_MAGIC))
    )
    tally.results = array("Q", results)
    tally.least_ms = least_ms if tally.timed else math.inf
    for bucket, count in _PAIR.iter_unpack(data[start:]):
        if bucket >= BUCKETS:
            raise ValueError("a performance window with an unknown bucket")
        tally.add_times(bucket, count)
    if not _consistent(tally, least_ms, pace):
        raise ValueError("a performance window whose numbers contradict each other")
    return tally, pace


def _consistent(tally: Tally, least_ms: float, pace: float) -> bool:
    timed = sum(count for place, count in enumerate(tally.results) if _TIMED[place])
    # Sums of floats are not exact.
    slack = 1 + 1e-6
    return (
        tally.timed == timed == sum(tally.counts)
        and 0 <= least_ms <= tally.most_ms <= MOST_MS
        and least_ms * timed <= tally.latency_ms * slack + LEAST_MS
        and tally.latency_ms <= tally.most_ms * timed * slack + LEAST_MS
        and 0 <= tally.quality <= tally.rated * slack
        and 0 <= pace < math.inf
    )
