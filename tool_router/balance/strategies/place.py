"""Strategies that first go by where a target is or which models it serves, then by the calls under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tool_router.balance.requirements import CallRequest
from tool_router.balance.strategies.plain import TwoChoices, free
from tool_router.balance.strategies.strategy import Draw
from tool_router.balance.strategies.view import Candidates, View

LEAST_RELIABILITY = 0.5
"""A target that fails more often than it succeeds does not hold calls in its region."""


class InRegion:
    """Stays in the request's region as long as a target there can be called and mostly works.

    Without such a target any other that mostly works will do. Among several, the less loaded of two.

    Args:
        draw: a random number in [0, 1).
        explore: share of the calls that go to the region whatever is known of its targets, so that they are
            found when they recover.
    """

    def __init__(self, draw: Draw, explore: float) -> None:
        self._draw = draw
        self._explore = explore
        self._inner = TwoChoices(draw)

    def refresh(self, now: float) -> None:
        """Nothing is kept that could be outdated."""

    def enter(self, view: View) -> None:
        """Nothing is kept for a view."""

    def pick(self, candidates: Candidates, request: CallRequest) -> int:
        """One in the region, if there is any."""
        region = request.region
        if not region:
            return self._inner.pick(candidates, request)
        near = candidates.part(region, lambda every: _working_in(every, region))
        if self._draw() < self._explore:
            near = candidates.part((region,), lambda every: _in(every, region))
        return self._inner.pick(near, request)

    def narrow(self, candidates: Candidates, request: CallRequest) -> Candidates:
        """Those in the region that mostly work, or what takes their place."""
        return _working_in(candidates, request.region) if request.region else candidates

    def factors(self, candidates: Candidates, request: CallRequest) -> Sequence[Mapping[str, float]]:
        """Whether each is in the region, and what is free of it."""
        return [
            {"region": float(target.spec.region == request.region), **load}
            for target, load in zip(candidates.targets, free(candidates), strict=True)
        ]


class ServingModel:
    """Takes targets that serve the request's model; the less loaded of two.

    Without any, those that do not tell which models they serve, and without these any.

    Args:
        draw: a random number in [0, 1).
    """

    def __init__(self, draw: Draw) -> None:
        self._inner = TwoChoices(draw)

    def refresh(self, now: float) -> None:
        """Nothing is kept that could be outdated."""

    def enter(self, view: View) -> None:
        """Nothing is kept for a view."""

    def pick(self, candidates: Candidates, request: CallRequest) -> int:
        """One that serves the model, if there is any."""
        model = request.model
        if model:
            candidates = candidates.part(model, lambda every: serving(every, model))
        return self._inner.pick(candidates, request)

    def narrow(self, candidates: Candidates, request: CallRequest) -> Candidates:
        """Those that serve the model, or what takes their place."""
        return serving(candidates, request.model) if request.model else candidates

    def factors(self, candidates: Candidates, request: CallRequest) -> Sequence[Mapping[str, float]]:
        """Whether each serves the model, and what is free of it."""
        return [
            {"model": float(request.model in target.spec.models), **load}
            for target, load in zip(candidates.targets, free(candidates), strict=True)
        ]


def serving(candidates: Candidates, model: str) -> Candidates:
    """The candidates that serve a model; without any, those that do not tell, and without these all."""
    specs = {index: candidates.view.targets[index].spec for index in candidates.indices}
    found = candidates.where(
        lambda index: model in specs[index].models,
        f"model {model}",
        lambda index: f"it does not serve {model}",
    )
    if found is not candidates and found.unmet != candidates.unmet:
        untold = [index for index in found.indices if not specs[index].models]
        if untold:
            found = found.where(lambda index: index in untold, "", lambda index: f"it does not serve {model}")
    return found


def _in(candidates: Candidates, region: str) -> Candidates:
    return candidates.where(
        lambda index: candidates.view.targets[index].spec.region == region,
        f"region {region}",
        lambda index: "it is in another region",
    )


def _working_in(candidates: Candidates, region: str) -> Candidates:
    view = candidates.view

    def works(index: int) -> bool:
        return view.measured(index).expected.reliability >= LEAST_RELIABILITY

    def lies_in(index: int) -> bool:
        return view.targets[index].spec.region == region

    if any(works(index) and lies_in(index) for index in candidates.indices):
        return candidates.where(
            lambda index: works(index) and lies_in(index),
            "",
            lambda index: "it mostly fails" if lies_in(index) else "it is in another region",
        )
    away = Candidates(view, candidates.indices, (*candidates.unmet, f"region {region}"), candidates.reasons)
    if any(works(index) for index in away.indices):
        return away.where(works, "", lambda index: "it mostly fails")
    return away
