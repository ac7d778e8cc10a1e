"""Strategies that go by turns, by chance or by the calls under way, and by nothing from the windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from tool_router.balance.requirements import CallRequest
from tool_router.balance.strategies.strategy import Draw
from tool_router.balance.strategies.view import MOST_PARTS, Candidates, View
from tool_router.balance.target_state import TargetState

_Row = TypeVar("_Row")


class _Unfiltered:
    """What most pickers have in common: they choose from all candidates."""

    def refresh(self, now: float) -> None:
        """Nothing is kept that could be outdated."""

    def enter(self, view: View) -> None:
        """Nothing is kept for a view."""

    def narrow(self, candidates: Candidates, request: CallRequest) -> Candidates:
        """All of them."""
        return candidates


class Turns(_Unfiltered):
    """Round robin, and weighted round robin with evenly spread turns: stride scheduling.

    Each target has a place on a line; the one that is furthest behind gets the call and moves ahead by one
    step, which is 1 over its weight. So n calls are shared out in proportion, and the calls of a heavy target
    lie between those of the others (Waldspurger and Weihl, "Stride Scheduling", 1995). One that was away, or
    that few requests could go to, stands at most one step behind the front when it is chosen: what it missed
    is not made up for.

    Args:
        weighted: whether weights count; else all targets have the same.
    """

    def __init__(self, *, weighted: bool) -> None:
        self._weighted = weighted
        self._places: dict[TargetState, float] = {}
        self._steps: dict[TargetState, float] = {}
        self._front = 0.0

    def enter(self, view: View) -> None:
        """Put new targets on the line, and forget those that are gone when they are many."""
        if len(self._places) > 2 * len(view.targets) + 64:
            self._places = {target: self._places[target] for target in view.targets if target in self._places}
        self._steps = {target: 1.0 / target.spec.weight if self._weighted else 1.0 for target in view.targets}
        # Staggered, or targets of equal weight would always come one right after the other.
        stagger = 1.0 / max(1, len(self._steps))
        for number, (target, step) in enumerate(self._steps.items()):
            self._places.setdefault(target, self._front + step * stagger * (number + 0.5))

    def pick(self, candidates: Candidates, request: CallRequest) -> int:
        """The candidate that is furthest behind."""
        places = self._places
        chosen = min(candidates.targets, key=places.__getitem__)
        step = self._steps[chosen]
        at = places[chosen]
        if at < self._front - step:
            at = self._front - step
        elif at > self._front:
            self._front = at
        places[chosen] = at + step
        return candidates.indices[candidates.targets.index(chosen)]

    def factors(self, candidates: Candidates, request: CallRequest) -> Sequence[Mapping[str, float]]:
        """How many turns each is behind the one that was chosen last."""
        return [
            {"turns_behind": (self._front - self._places[target]) / self._steps[target]}
            if target in self._steps
            else {}
            for target in candidates.targets
        ]


class Chance(_Unfiltered):
    """Each candidate with the same probability.

    Args:
        draw: a random number in [0, 1).
    """

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def pick(self, candidates: Candidates, request: CallRequest) -> int:
        """Any."""
        indices = candidates.indices
        return indices[int(self._draw() * len(indices))]

    def factors(self, candidates: Candidates, request: CallRequest) -> Sequence[Mapping[str, float]]:
        """The probability."""
        return [{"probability": 1.0 / len(candidates.indices)}] * len(candidates.indices)


class TwoChoices(_Unfiltered):
    """The less loaded of two candidates drawn at random.

    Where one at random lets the fullest of n targets run ahead of the mean by about log n / log log n, the
    better of two keeps it within log log n (Mitzenmacher, "The Power of Two Choices", 2001).

    Args:
        draw: a random number in [0, 1).
    """

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def pick(self, candidates: Candidates, request: CallRequest) -> int:
        """The less loaded of two."""
        targets = candidates.targets
        count = len(targets)
        first = int(self._draw() * count)
        if count == 1:
            return candidates.indices[0]
        second = int(self._draw() * (count - 1))
        if second >= first:
            second += 1
        units = candidates.units
        if (targets[second].under_way + 1) * units[second] < (targets[first].under_way + 1) * units[first]:
            first = second
        return candidates.indices[first]

    def factors(self, candidates: Candidates, request: CallRequest) -> Sequence[Mapping[str, float]]:
        """What is free of each."""
        return free(candidates)


class LeastLoaded(_Unfiltered):
    """The candidate that one more call would load least, for what it bears; any one of several equal ones.

    Args:
        draw: a random number in [0, 1): where looking begins, so that equal ones take turns.
    """

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._rows: dict[Candidates, Sequence[tuple[TargetState, float, int]]] = {}

    def refresh(self, now: float) -> None:
        """Begin elsewhere from now on."""
        self._rows.clear()

    def pick(self, candidates: Candidates, request: CallRequest) -> int:
        """The least loaded."""
        rows = self._rows.get(candidates)
        if rows is None:
            if len(self._rows) >= MOST_PARTS:
                self._rows.clear()
            rows = self._rows[candidates] = rotated(
                list(zip(candidates.targets, candidates.units, candidates.indices, strict=True)), self._draw
            )
        best, least = 0, float("inf")
        for target, unit, index in rows:
            # `under_way`, without a call for every target of every decision.
            load = (target.in_flight + target.in_flight_elsewhere + 1) * unit
            if load < least:
                best, least = index, load
        return best

    def factors(self, candidates: Candidates, request: CallRequest) -> Sequence[Mapping[str, float]]:
        """What is free of each."""
        return free(candidates)


def free(candidates: Candidates) -> Sequence[Mapping[str, float]]:
    """The part of each candidate that would be free with one more call; below 0 when it bears too much."""
    return [
        {"load": 1.0 - (target.under_way + 1) * unit}
        for target, unit in zip(candidates.targets, candidates.units, strict=True)
    ]


def rotated(rows: Sequence[_Row], draw: Draw) -> Sequence[_Row]:
    """The same rows in the same order, beginning anywhere."""
    start = int(draw() * len(rows))
    return [*rows[start:], *rows[:start]]
