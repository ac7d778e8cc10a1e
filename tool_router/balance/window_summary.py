"""What the outcomes in a window come to. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tool_router.balance.histogram import quantiles
from tool_router.balance.tally import Tally, from_bytes

_SHARES = (0.5, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """What a window holds. Times are 0.0 without response times, rates 0.0 without requests.

    Response times are those of calls that succeeded or ran into their deadline; quantiles are exact to 5 %.

    Attributes:
        quality: the mean rating in [0, 1]; None without feedback.
        rated: how many answers were rated.
    """

    requests: int
    per_minute: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    min_ms: float
    max_ms: float
    mean_ms: float
    success_rate: float
    error_rate: float
    timeout_rate: float
    rate_limit_rate: float
    quality: float | None
    rated: int


def merged(snapshots: Iterable[bytes]) -> WindowSummary:
    """One summary of what several routers saw of a target.

    Raises:
        ValueError: a snapshot can't be read.
    """
    tally, per_minute = Tally(), 0.0
    for data in snapshots:
        one, pace = from_bytes(data)
        tally.add(one)
        per_minute += pace
    return summarise(tally, per_minute)


def summarise(tally: Tally, per_minute: float) -> WindowSummary:
    """The summary of a tally.

    Args:
        tally: the outcomes.
        per_minute: the pace of their requests.
    """
    requests = tally.requests
    least_ms = tally.least_ms if tally.timed else 0.0
    # A bucket's value may lie beyond the times that were measured.
    p50, p90, p95, p99 = (min(max(ms, least_ms), tally.most_ms) for ms in quantiles(tally.counts, _SHARES))
    success, error, timeout, rate_limit = (count / requests if requests else 0.0 for count in tally.results)
    return WindowSummary(
        requests=requests,
        per_minute=per_minute,
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        min_ms=least_ms,
        max_ms=tally.most_ms,
        mean_ms=tally.latency_ms / tally.timed if tally.timed else 0.0,
        success_rate=success,
        error_rate=error,
        timeout_rate=timeout,
        rate_limit_rate=rate_limit,
        quality=tally.quality / tally.rated if tally.rated else None,
        rated=tally.rated,
    )
