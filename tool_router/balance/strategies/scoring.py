"""From what windows hold to scores in [0, 1] that can be compared. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tool_router.balance.strategies.settings import ScoreWeights
from tool_router.balance.target_state import TargetState

PRIOR_CALLS = 2.0
PRIOR_RELIABILITY = 0.95
"""A target without history is taken for one that nearly always works, or it would never be tried; this counts
as two calls, so that a few real ones outweigh it."""
PRIOR_RATINGS = 5.0
"""Ratings that the configured quality counts as."""
CATEGORY_PRIOR = 5.0
"""Calls of one category that the record over all categories counts as."""
FRESH_S = 30.0
"""Age at which the last outcomes count half against the whole window."""
GRACE_MS = 5.0
"""Added to response times before they are compared: a few milliseconds are the network's noise."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is expected of one target.

    Attributes:
        latency_ms: the response time; None when nothing is known.
        reliability: the share of calls that succeed.
        quality: of the answers, in [0, 1].
        price: of a call; 0 is free.
    """

    latency_ms: float | None
    reliability: float
    quality: float
    price: float


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one target over its whole window, over its last outcomes, and the mean of both."""

    history: Figures
    real_time: Figures
    expected: Figures


@dataclass(frozen=True, slots=True)
class Factors:
    """How a target compares with the best, each in [0, 1] and higher is better."""

    latency: float
    reliability: float
    quality: float
    price: float


def measure(target: TargetState) -> Measured:
    """Read a target's window."""
    spec, seen = target.spec, target.window.estimate()
    quality = (seen.quality + PRIOR_RATINGS * spec.quality) / (seen.rated + PRIOR_RATINGS)
    reliability = (seen.succeeded + PRIOR_CALLS * PRIOR_RELIABILITY) / (seen.requests + PRIOR_CALLS)
    history = Figures(seen.mean_ms, reliability, quality, spec.price)
    if seen.recent_success is None:
        return Measured(history, history, history)
    fresh = FRESH_S / (FRESH_S + seen.age_s) * seen.requests / (seen.requests + PRIOR_CALLS)
    recent_reliability = reliability + fresh * (seen.recent_success - reliability)
    if seen.mean_ms is None or seen.recent_ms is None:
        recent_ms = expected_ms = seen.mean_ms
    else:
        recent_ms = seen.mean_ms + fresh * (seen.recent_ms - seen.mean_ms)
        expected_ms = (seen.mean_ms + recent_ms) / 2
    return Measured(
        history,
        Figures(recent_ms, recent_reliability, quality, spec.price),
        Figures(expected_ms, (reliability + recent_reliability) / 2, quality, spec.price),
    )


def in_category(target: TargetState, category: str, general: Figures) -> Figures:
    """What is expected of a target for one category of task: its record there, leaning on the general one."""
    record = target.window.category(category) if category else None
    if record is None:
        return general
    latency_ms = general.latency_ms
    if latency_ms is not None:
        latency_ms = (record.latency_ms + CATEGORY_PRIOR * latency_ms) / (record.timed + CATEGORY_PRIOR)
    return replace(
        general,
        latency_ms=latency_ms,
        reliability=(record.succeeded + CATEGORY_PRIOR * general.reliability)
        / (record.calls + CATEGORY_PRIOR),
        quality=(record.quality + CATEGORY_PRIOR * general.quality) / (record.rated + CATEGORY_PRIOR),
    )


def compare(figures: Sequence[Figures]) -> Sequence[Factors]:
    """Set targets against each other.

    The latency factor is the shortest response time divided by the target's, times its reliability: a quick
    refusal is no quick answer. A target of which no response time is known is taken to be as quick as the
    quickest, so that it is tried. The price factor is 0 for the dearest and 1 for one that costs nothing.
    """
    known = [one.latency_ms for one in figures if one.latency_ms is not None]
    least_ms = min(known, default=0.0) + GRACE_MS
    dearest = max((one.price for one in figures), default=0.0)
    return [
        Factors(
            one.reliability * (1.0 if one.latency_ms is None else least_ms / (one.latency_ms + GRACE_MS)),
            one.reliability,
            one.quality,
            1.0 - one.price / dearest if dearest else 1.0,
        )
        for one in figures
    ]


def score(factors: Factors, weights: ScoreWeights, *, priced: bool) -> float:
    """The weighted mean of the factors, in [0, 1].

    Args:
        factors: of one target.
        weights: of the factors.
        priced: whether the price counts: some target has one.
    """
    price = weights.price if priced else 0.0
    total = weights.latency + weights.reliability + weights.quality + price
    return (
        weights.latency * factors.latency
        + weights.reliability * factors.reliability
        + weights.quality * factors.quality
        + price * factors.price
    ) / total


def scores(figures: Sequence[Figures], weights: ScoreWeights) -> Sequence[float]:
    """The performance score of each target, set against the others."""
    priced = any(one.price for one in figures)
    return [score(factors, weights, priced=priced) for factors in compare(figures)]
