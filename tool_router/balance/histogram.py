"""Response times in buckets of equal relative width: quantiles in bounded memory. Pure.

Bucket `i` holds the times in (LEAST_MS · GROWTH^(i-1), LEAST_MS · GROWTH^i]. A quantile is answered with the
value of its bucket whose greatest relative error is least, 2·upper/(GROWTH + 1), so it is wrong by at most
RELATIVE_ERROR between LEAST_MS and MOST_MS (Masson, Rim and Lee, "DDSketch", 2019).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence

RELATIVE_ERROR = 0.05
LEAST_MS = 0.1
"""What is faster counts as this."""
MOST_MS = 600_000.0
"""What is slower, ten minutes, counts as this."""
GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_PER_LOG = 1.0 / math.log(GROWTH)
BUCKETS = math.ceil(math.log(MOST_MS / LEAST_MS) * _PER_LOG) + 1


def bucket_of(ms: float) -> int:
    """The bucket of a time in milliseconds; times out of range fall into the first or the last one."""
    if ms <= LEAST_MS:
        return 0
    if ms >= MOST_MS:
        return BUCKETS - 1
    return min(BUCKETS - 1, math.ceil(math.log(ms / LEAST_MS) * _PER_LOG))


def value_of(bucket: int) -> float:
    """The time that stands for a bucket, in milliseconds."""
    return 2.0 * LEAST_MS * math.pow(GROWTH, bucket) / (GROWTH + 1.0)


def empty_counts() -> array[int]:
    """One count for every bucket, of two bytes: see `widened`."""
    return array("H", bytes(2 * BUCKETS))


def widened(counts: array[int]) -> array[int]:
    """The same counts with eight bytes each, for when two are not enough."""
    return array("Q", counts)


def quantiles(counts: Iterable[int], shares: Sequence[float]) -> tuple[float, ...]:
    """The times below which these shares of all times lie, in milliseconds; 0.0 each when there are none.

    The quantile q of n times is the one at rank ceil(q·n), counted from 1: a time that was measured.

    Args:
        counts: one for each bucket.
        shares: in [0, 1], rising.
    """
    held = [(bucket, count) for bucket, count in enumerate(counts) if count]
    total = sum(count for _, count in held)
    if not total:
        return (0.0,) * len(shares)
    found: list[float] = []
    at, reached = 0, held[0][1]
    for share in shares:
        rank = max(1, math.ceil(share * total))
        while reached < rank:
            at += 1
            reached += held[at][1]
        found.append(value_of(held[at][0]))
    return tuple(found)
