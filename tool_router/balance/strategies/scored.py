"""Strategies that prefer what did well: performance, and affinity to a category of task."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from tool_router.balance.requirements import CallRequest
from tool_router.balance.strategies.scoring import Figures, compare, in_category, scores
from tool_router.balance.strategies.settings import StrategySettings
from tool_router.balance.strategies.strategy import Draw
from tool_router.balance.strategies.view import MOST_PARTS, Candidates, View


class Ladder:
    """Probabilities of candidates, to draw from: steps as high as the probabilities, one above the other.

    Args:
        worth: score of each candidate; one better by `temperature` is e times as probable.
        weights: of the candidates; probabilities are in proportion to them besides.
        settings: temperature, and the share that goes to all in proportion to their weights alone.
    """

    __slots__ = ("shares", "steps", "total")

    def __init__(self, worth: Sequence[float], weights: Sequence[float], settings: StrategySettings) -> None:
        best = max(worth)
        bolder = [
            weight * math.exp((one - best) / settings.temperature)
            for one, weight in zip(worth, weights, strict=True)
        ]
        every, preferred = sum(weights), sum(bolder)
        self.shares = [
            settings.explore * weight / every + (1.0 - settings.explore) * bold / preferred
            for weight, bold in zip(weights, bolder, strict=True)
        ]
        self.steps = list(accumulate(self.shares))
        self.total = self.steps[-1]

    def place(self, drawn: float) -> int:
        """The candidate on whose step a number in [0, 1) falls."""
        return min(bisect_right(self.steps, drawn * self.total), len(self.steps) - 1)


class ByPerformance:
    """Draws two candidates, the better ones far more often, and takes the less loaded of them.

    So the best get nearly all calls, without all of them falling on one target between two looks at its
    window, and a target that did badly still gets a call now and then: it is found when it recovers.

    Args:
        settings: weights of the score, temperature, share of exploration.
        draw: a random number in [0, 1).
        by_category: whether a target's record in the task's category counts rather than all of its record.
    """

    def __init__(self, settings: StrategySettings, draw: Draw, *, by_category: bool = False) -> None:
        self._settings = settings
        self._draw = draw
        self._by_category = by_category
        self._ladders: dict[tuple[Candidates, str], Ladder] = {}

    def refresh(self, now: float) -> None:
        """The scores are outdated."""
        self._ladders.clear()

    def enter(self, view: View) -> None:
        """Nothing is kept for a view."""

    def narrow(self, candidates: Candidates, request: CallRequest) -> Candidates:
        """All of them."""
        return candidates

    def pick(self, candidates: Candidates, request: CallRequest) -> int:
        """The less loaded of two good ones."""
        key = (candidates, request.category if self._by_category else "")
        ladder = self._ladders.get(key)
        if ladder is None:
            ladder = self._climbed(key)
        draw = self._draw
        first, second = ladder.place(draw()), ladder.place(draw())
        if first != second:
            targets, units = candidates.targets, candidates.units
            if (targets[second].under_way + 1) * units[second] < (targets[first].under_way + 1) * units[
                first
            ]:
                first = second
        return candidates.indices[first]

    def factors(self, candidates: Candidates, request: CallRequest) -> Sequence[Mapping[str, float]]:
        """The parts of the score, and the score."""
        figures = self._figures(candidates, request.category if self._by_category else "")
        return [
            {
                "latency": factors.latency,
                "reliability": factors.reliability,
                "quality": factors.quality,
                **({"price": factors.price} if any(one.price for one in figures) else {}),
                "score": score,
            }
            for factors, score in zip(compare(figures), scores(figures, self._settings.score), strict=True)
        ]

    def _climbed(self, key: tuple[Candidates, str]) -> Ladder:
        candidates, category = key
        if len(self._ladders) >= MOST_PARTS:
            self._ladders.clear()
        worth = scores(self._figures(candidates, category), self._settings.score)
        weights = [target.spec.weight for target in candidates.targets]
        ladder = self._ladders[key] = Ladder(worth, weights, self._settings)
        return ladder

    def _figures(self, candidates: Candidates, category: str) -> Sequence[Figures]:
        measured = [candidates.view.measured(index).expected for index in candidates.indices]
        if not category:
            return measured
        return [
            in_category(target, category, general)
            for target, general in zip(candidates.targets, measured, strict=True)
        ]
