"""Strategies that add up what windows, calls under way and wishes say: hybrid and adaptive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tool_router.balance.requirements import CallRequest
from tool_router.balance.strategies.lessons import Lessons
from tool_router.balance.strategies.place import serving
from tool_router.balance.strategies.plain import rotated
from tool_router.balance.strategies.scored import Ladder
from tool_router.balance.strategies.scoring import GRACE_MS, Figures, in_category, scores
from tool_router.balance.strategies.settings import StrategySettings
from tool_router.balance.strategies.strategy import Draw
from tool_router.balance.strategies.view import MOST_PARTS, Candidates, View
from tool_router.balance.target_state import TargetState

HYBRID = {"performance": 0.3, "affinity": 0.3, "load": 0.2, "region": 0.2}
"""What the hybrid strategy goes by: first how well a target does, then where it is and what is free of it."""


class Sum(Protocol):
    """What a combined strategy adds up."""

    def weights(self) -> Mapping[str, float]:
        """The weight of each factor; they add up to 1. One of them is `load`."""
        ...

    def lasting(self, candidates: Candidates, request: CallRequest) -> Sequence[Mapping[str, float]]:
        """The factors but the load, which change with the windows only; each in [0, 1]."""
        ...

    def refresh(self, now: float) -> None:
        """Windows may have changed."""
        ...

    def enter(self, view: View) -> None:
        """The next decisions are about this view."""
        ...


class ByWeightedSum:
    """Takes the candidate with the greatest weighted sum of factors.

    The load factor is what is free of a target now, and falls without bound, so that a burst of calls spreads
    before any of them is answered. The other factors are added up once for each kind of request and refresh.
    Targets that serve the request's model come first. A share of the calls is spread over all candidates in
    proportion to their weights, so that one that did badly is found when it recovers.

    Args:
        adds: the factors and their weights.
        settings: share of exploration.
        draw: a random number in [0, 1).
    """

    def __init__(self, adds: Sum, settings: StrategySettings, draw: Draw) -> None:
        self._adds = adds
        self._settings = settings
        self._draw = draw
        self._rows: dict[tuple[Candidates, CallRequest], Sequence[_Row]] = {}
        self._even: dict[Candidates, Ladder] = {}

    def refresh(self, now: float) -> None:
        """The sums are outdated."""
        self._rows.clear()
        self._even.clear()
        self._adds.refresh(now)

    def enter(self, view: View) -> None:
        """The next picks are from this view."""
        self._adds.enter(view)

    def pick(self, candidates: Candidates, request: CallRequest) -> int:
        """The greatest sum, or now and then any."""
        if self._draw() < self._settings.explore:
            return self._explored(candidates, request)
        rows = self._rows.get((candidates, request))
        if rows is None:
            rows = self._added((candidates, request))
        best, most = 0, float("-inf")
        for target, lasting, cost, index in rows:
            worth = lasting - cost * (target.in_flight + target.in_flight_elsewhere)
            if worth > most:
                best, most = index, worth
        return best

    def narrow(self, candidates: Candidates, request: CallRequest) -> Candidates:
        """Those that serve the request's model, or what takes their place."""
        model = request.model
        return candidates.part(model, lambda every: serving(every, model)) if model else candidates

    def factors(self, candidates: Candidates, request: CallRequest) -> Sequence[Mapping[str, float]]:
        """Every factor, and their weighted sum as the score."""
        weights = self._adds.weights()
        found: list[Mapping[str, float]] = []
        for target, unit, lasting in zip(
            candidates.targets, candidates.units, self._adds.lasting(candidates, request), strict=True
        ):
            factors = {**lasting, "load": 1.0 - target.under_way * unit}
            found.append({**factors, "score": sum(weights[name] * factors[name] for name in weights)})
        return found

    def _explored(self, candidates: Candidates, request: CallRequest) -> int:
        candidates = self.narrow(candidates, request)
        ladder = self._even.get(candidates)
        if ladder is None:
            if len(self._even) >= MOST_PARTS:
                self._even.clear()
            weights = [target.spec.weight for target in candidates.targets]
            ladder = self._even[candidates] = Ladder([0.0] * len(weights), weights, self._settings)
        return candidates.indices[ladder.place(self._draw())]

    def _added(self, key: tuple[Candidates, CallRequest]) -> Sequence[_Row]:
        if len(self._rows) >= MOST_PARTS:
            self._rows.clear()
        candidates, request = self.narrow(*key), key[1]
        weights = self._adds.weights()
        rows: list[_Row] = []
        for target, unit, index, lasting in zip(
            candidates.targets,
            candidates.units,
            candidates.indices,
            self._adds.lasting(candidates, request),
            strict=True,
        ):
            fixed = sum(weights[name] * value for name, value in lasting.items())
            rows.append((target, weights["load"] + fixed, weights["load"] * unit, index))
        self._rows[key] = rotated(rows, self._draw)
        return self._rows[key]


_Row = tuple[TargetState, float, float, int]


class HybridSum:
    """Performance, affinity to the category, load and region in fixed proportions.

    Args:
        settings: weights of the performance score.
    """

    def __init__(self, settings: StrategySettings) -> None:
        self._settings = settings

    def weights(self) -> Mapping[str, float]:
        """The same always."""
        return HYBRID

    def refresh(self, now: float) -> None:
        """Nothing is kept."""

    def enter(self, view: View) -> None:
        """Nothing is kept for a view."""

    def lasting(self, candidates: Candidates, request: CallRequest) -> Sequence[Mapping[str, float]]:
        """The performance score over all and over the category, and whether the region is right."""
        view, score = candidates.view, self._settings.score
        general = [view.measured(index).expected for index in candidates.indices]
        return [
            {"performance": performance, "affinity": affinity, "region": _right_region(target, request)}
            for target, performance, affinity in zip(
                candidates.targets,
                scores(general, score),
                scores(_for_category(candidates, general, request), score),
                strict=True,
            )
        ]


class AdaptiveSum:
    """Current load, history, real time and requirements, with weights that learn from what came of calls.

    Args:
        settings: the weights to start with, how they learn, and the weights of the performance score.
    """

    def __init__(self, settings: StrategySettings) -> None:
        self._settings = settings
        self._lessons = Lessons(settings)

    def weights(self) -> Mapping[str, float]:
        """As they were learned so far."""
        return self._lessons.weights

    def refresh(self, now: float) -> None:
        """Take in what happened since the last time."""
        self._lessons.refresh(now)

    def enter(self, view: View) -> None:
        """Learn about the targets of this view."""
        self._lessons.enter(view)

    def lasting(self, candidates: Candidates, request: CallRequest) -> Sequence[Mapping[str, float]]:
        """The score by the whole window, by the last outcomes, and how well the wishes are met."""
        view, score = candidates.view, self._settings.score
        measured = [view.measured(index) for index in candidates.indices]
        history = _for_category(candidates, [one.history for one in measured], request)
        expected = _for_category(candidates, [one.expected for one in measured], request)
        return [
            {"history": past, "real_time": present, "requirements": wishes}
            for past, present, wishes in zip(
                scores(history, score),
                scores([one.real_time for one in measured], score),
                _wishes_met(candidates, expected, request),
                strict=True,
            )
        ]


def _for_category(
    candidates: Candidates, general: Sequence[Figures], request: CallRequest
) -> Sequence[Figures]:
    return [
        in_category(target, request.category, figures)
        for target, figures in zip(candidates.targets, general, strict=True)
    ]


def _right_region(target: TargetState, request: CallRequest) -> float:
    return 1.0 if not request.region or target.spec.region == request.region else 0.0


def _wishes_met(candidates: Candidates, figures: Sequence[Figures], request: CallRequest) -> Sequence[float]:
    """How well each candidate meets what the request asks, in [0, 1]; 0.5 when it asks nothing.

    The mean over what is asked: 1 for a bound that is kept, else the ratio by which it is missed; 1 or 0 for
    the region and the preferred names; and speed, counted by the urgency.
    """
    wishes = request.requirements
    quickest_ms = min((one.latency_ms for one in figures if one.latency_ms is not None), default=0.0)
    found: list[float] = []
    for target, one in zip(candidates.targets, figures, strict=True):
        met: list[tuple[float, float]] = []
        if wishes.max_latency_ms is not None and one.latency_ms is not None:
            met.append((1.0, min(1.0, wishes.max_latency_ms / max(one.latency_ms, GRACE_MS / 1000))))
        if wishes.min_quality:
            met.append((1.0, min(1.0, one.quality / wishes.min_quality)))
        if wishes.min_reliability:
            met.append((1.0, min(1.0, one.reliability / wishes.min_reliability)))
        if wishes.preferred:
            met.append((1.0, float(target.spec.name in wishes.preferred)))
        if request.region:
            met.append((1.0, _right_region(target, request)))
        if wishes.urgency and one.latency_ms is not None:
            met.append((wishes.urgency, (quickest_ms + GRACE_MS) / (one.latency_ms + GRACE_MS)))
        weight = sum(share for share, _ in met)
        found.append(sum(share * value for share, value in met) / weight if weight else 0.5)
    return found
