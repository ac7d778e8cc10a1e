"""What a strategy is, and the rules that hold for all of them.

- A target without the labels that the request requires is never chosen.
- Targets that fall short of what the caller wishes are left out as long as another one is left.
- A target that recovers has a `share` below 1. When it would be taken, it is taken with this probability;
  else the strategy chooses again among the others. So it gets its share of what it would get otherwise,
  whatever the strategy, and the last one that is left gets the call.
- Calls under way are counted now. What comes from the windows is at most `refresh_s` old by the clock of the
  windows, and what was derived from it is kept until then.

Not thread-safe: one event loop owns a strategy, and no method awaits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tool_router.balance.requirements import NO_REQUIREMENTS, CallRequest
from tool_router.balance.strategies.scoring import Measured
from tool_router.balance.strategies.settings import StrategySettings
from tool_router.balance.strategies.view import Candidates, View, fitting
from tool_router.balance.target_state import TargetState

Draw = Callable[[], float]
"""A random number in [0, 1)."""

MOST_VIEWS = 16
"""Sets of targets for which a view is kept between two refreshes: under load, full targets come and go."""


class Strategy(Protocol):
    """Chooses among targets."""

    @property
    def name(self) -> str:
        """Which strategy it is."""
        ...

    def choose(self, targets: Sequence[TargetState], request: CallRequest) -> int:
        """The place of the target that gets the call.

        Args:
            targets: at least one; every one of them may be called.
            request: the call.

        Raises:
            NoTargetFits: none has the labels that the request requires.
        """
        ...


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a strategy makes of one target.

    Attributes:
        factors: what it goes by, by name; higher is better.
        latency_ms: the response time that is expected; None when nothing is known.
        load: the part of what it bears that is taken up; above 1 when it has more calls than that.
        unit: what one more call adds to the load.
        left_out: why it is not a candidate; empty for a candidate.
    """

    factors: Mapping[str, float]
    latency_ms: float | None
    load: float
    unit: float
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Weighing:
    """What a strategy makes of all targets of a decision, in their order.

    Attributes:
        unmet: wishes that no target meets, so that they were passed over.
    """

    targets: Sequence[Weighed]
    unmet: Sequence[str]


class WeighingStrategy(Strategy, Protocol):
    """A strategy that can say what it goes by."""

    def weigh(self, targets: Sequence[TargetState], request: CallRequest) -> Weighing:
        """What it makes of each target at this moment; chooses nothing and changes nothing.

        Raises:
            NoTargetFits: none has the labels that the request requires.
        """
        ...


class Picker(Protocol):
    """The heart of a strategy: picks among candidates that pass its rules already."""

    def refresh(self, now: float) -> None:
        """What was derived from windows is outdated."""
        ...

    def enter(self, view: View) -> None:
        """The next picks are from this view, which may be new."""
        ...

    def pick(self, candidates: Candidates, request: CallRequest) -> int:
        """The place, in the view, of the target that gets the call."""
        ...

    def narrow(self, candidates: Candidates, request: CallRequest) -> Candidates:
        """Those candidates that it chooses from."""
        ...

    def factors(self, candidates: Candidates, request: CallRequest) -> Sequence[Mapping[str, float]]:
        """What it goes by for each of the candidates that `narrow` left."""
        ...


class RuledStrategy:
    """A picker under the rules that hold for every strategy.

    Args:
        name: which strategy it is.
        picker: picks among candidates.
        settings: how old scores may be.
        draw: decides whether a recovering target is taken.
    """

    def __init__(self, name: str, picker: Picker, settings: StrategySettings, draw: Draw) -> None:
        self._name = name
        self._picker = picker
        self._settings = settings
        self._draw = draw
        self._measured: dict[TargetState, Measured] = {}
        self._roots: dict[tuple[TargetState, ...], Candidates] = {}
        self._every = Candidates(View((), self._measured), ())
        self._stale_at = -math.inf

    @property
    def name(self) -> str:
        """Which strategy it is."""
        return self._name

    def choose(self, targets: Sequence[TargetState], request: CallRequest) -> int:
        """The place of the target that gets the call.

        Raises:
            NoTargetFits: none has the labels that the request requires.
        """
        candidates = self._every
        if targets[0].window.clock() >= self._stale_at or candidates.targets != tuple(targets):
            candidates = self._renewed(tuple(targets))
        if request.labels or request.requirements is not NO_REQUIREMENTS:
            candidates = fitting(candidates, request)
        index = self._picker.pick(candidates, request)
        if targets[index].share < 1.0:
            return self._spared(candidates, index, request)
        return index

    def weigh(self, targets: Sequence[TargetState], request: CallRequest) -> Weighing:
        """What it makes of each target at this moment; chooses nothing and changes nothing.

        Raises:
            NoTargetFits: none has the labels that the request requires.
        """
        view = View(tuple(targets), {})
        every = Candidates(view, range(len(view.targets)))
        candidates = self._picker.narrow(fitting(every, request), request)
        factors = dict(zip(candidates.indices, self._picker.factors(candidates, request), strict=True))
        weighed = [
            Weighed(
                factors.get(index, {}),
                view.measured(index).expected.latency_ms,
                target.under_way * unit,
                unit,
                candidates.reasons.get(index, ""),
            )
            for index, (target, unit) in enumerate(zip(view.targets, view.units, strict=True))
        ]
        return Weighing(weighed, candidates.unmet)

    def _renewed(self, targets: tuple[TargetState, ...]) -> Candidates:
        now = targets[0].window.clock()
        if now >= self._stale_at:
            self._stale_at = now + self._settings.refresh_s
            self._roots.clear()
            self._measured = {}
            self._picker.refresh(now)
        every = self._roots.get(targets)
        if every is None:
            if len(self._roots) >= MOST_VIEWS:
                self._roots.clear()
            view = View(targets, self._measured)
            every = self._roots[targets] = Candidates(view, range(len(targets)))
        self._every = every
        self._picker.enter(every.view)
        return every

    def _spared(self, candidates: Candidates, index: int, request: CallRequest) -> int:
        """Take a recovering target with the probability of its share; else one of the others."""
        while len(candidates.indices) > 1:
            share = candidates.view.targets[index].share
            if share >= 1.0 or self._draw() < share:
                break
            candidates = candidates.without(index)
            index = self._picker.pick(candidates, request)
        return index
