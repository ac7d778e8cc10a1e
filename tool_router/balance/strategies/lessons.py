"""How the adaptive strategy learns which of its factors foretell best. Pure.

A lesson looks at the time since the last one. For each factor it correlates what the factor said of the
targets then with how they did since, the response times and successes of that time alone. Factors that
foretold better than the mean of all gain weight, the others lose it:

    weight ← weight · exp(rate · (correlation - mean correlation))

(multiplicative weights; Freund and Schapire, "A Decision-Theoretic Generalization of On-Line Learning",
1997). The wishes of the caller foretell nothing and keep their weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tool_router.balance.strategies.scoring import Figures, scores
from tool_router.balance.strategies.settings import StrategySettings
from tool_router.balance.strategies.view import View
from tool_router.balance.target_state import TargetState
from tool_router.balance.window import Lifetime

LEARNED = ("load", "history", "real_time")
LEAST_TARGETS = 3
"""Two targets correlate perfectly with anything."""
LEAST_EACH = 5
"""Calls of a target without which the lesson leaves it out."""


class Lessons:
    """The weights of the adaptive factors, and what was seen since the last lesson.

    Args:
        settings: the weights to start with, and how they learn.
    """

    def __init__(self, settings: StrategySettings) -> None:
        adaptive = settings.adaptive
        start = {
            "load": adaptive.load,
            "history": adaptive.history,
            "real_time": adaptive.real_time,
            "requirements": adaptive.requirements,
        }
        total = sum(start.values())
        self._start = {name: weight / total for name, weight in start.items()}
        self._settings = settings
        self._weights = dict(self._start)
        self._targets: tuple[TargetState, ...] = ()
        self._before: list[Lifetime] = []
        self._foretold: dict[str, list[float]] = {}
        self._next_at = math.inf

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each factor; they add up to 1."""
        return self._weights

    def enter(self, view: View) -> None:
        """Watch the targets of this view, when it has others than those that are watched.

        While the targets that can be called come and go the time of a lesson does not begin anew, as long as
        those that are watched include them.
        """
        if not self._targets or not set(view.targets) <= set(self._targets):
            self._watch(view)
        elif view.targets == self._targets:
            self._look(view)

    def refresh(self, now: float) -> None:
        """Draw the lesson when it is due."""
        if now < self._next_at or not self._targets:
            if self._targets and self._next_at == math.inf:
                self._next_at = now + self._settings.adaptive.lesson_s
            return
        if self._learned():
            self._targets = ()
            self._next_at = math.inf

    def _watch(self, view: View) -> None:
        self._targets = view.targets
        self._before = [target.window.lifetime() for target in view.targets]
        self._foretold = {name: [0.0] * len(view.targets) for name in LEARNED}
        self._next_at = math.inf
        measured = [view.measured(index) for index in range(len(view.targets))]
        self._foretold["history"] = list(scores([one.history for one in measured], self._settings.score))
        self._foretold["real_time"] = list(scores([one.real_time for one in measured], self._settings.score))
        self._look(view)

    def _look(self, view: View) -> None:
        """Add up the load of this moment: the lesson takes its mean."""
        loads = self._foretold["load"]
        for place, (target, unit) in enumerate(zip(view.targets, view.units, strict=True)):
            loads[place] -= target.under_way * unit

    def _learned(self) -> bool:
        """Whether enough was seen for a lesson, which is then drawn."""
        since = [
            _difference(target.window.lifetime(), before)
            for target, before in zip(self._targets, self._before, strict=True)
        ]
        if sum(one.requests for one in since) < self._settings.adaptive.least_outcomes:
            return False
        seen = [place for place, one in enumerate(since) if one.requests >= LEAST_EACH]
        if len(seen) < LEAST_TARGETS:
            return True
        did = scores([_figures(since[place]) for place in seen], self._settings.score)
        correlations = {
            name: _correlation([self._foretold[name][place] for place in seen], did) for name in LEARNED
        }
        mean = sum(correlations.values()) / len(correlations)
        evidence = {name: one - mean for name, one in correlations.items()}
        if max(abs(one) for one in evidence.values()) >= self._settings.adaptive.threshold:
            self._move(evidence)
        return True

    def _move(self, evidence: Mapping[str, float]) -> None:
        adaptive = self._settings.adaptive
        moved: dict[str, float] = {}
        for name, one in evidence.items():
            # Correlations differ from their mean by less than 2; one lesson moves by the rate at most.
            step = math.exp(adaptive.learning_rate * one / 2)
            moved[name] = self._weights[name] * step
        learned = sum(self._start[name] for name in LEARNED)
        total = sum(moved.values())
        for name, weight in moved.items():
            start = self._start[name]
            moved[name] = min(
                max(weight * learned / total, start / adaptive.most_change), start * adaptive.most_change
            )
        # The bounds may have moved the sum again.
        whole = sum(moved.values()) + self._start["requirements"]
        self._weights = {
            name: weight / whole
            for name, weight in {**moved, "requirements": self._start["requirements"]}.items()
        }


def _difference(after: Lifetime, before: Lifetime) -> Lifetime:
    """What happened between two readings; all of the later one when the window was reset between them."""
    if after.requests < before.requests:
        return after
    return Lifetime(
        after.requests - before.requests,
        after.succeeded - before.succeeded,
        after.timed - before.timed,
        after.latency_ms - before.latency_ms,
    )


def _figures(seen: Lifetime) -> Figures:
    """How a target did, without its quality and price: the load has no say in these."""
    latency_ms = seen.latency_ms / seen.timed if seen.timed else None
    return Figures(latency_ms, seen.succeeded / seen.requests, 0.5, 0.0)


def _correlation(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Pearson's coefficient, in [-1, 1]; 0.0 where either is constant."""
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    dxs, dys = [x - mean_x for x in xs], [y - mean_y for y in ys]
    spread = math.sqrt(sum(dx * dx for dx in dxs) * sum(dy * dy for dy in dys))
    if spread < 1e-12:
        return 0.0
    return max(-1.0, min(1.0, sum(dx * dy for dx, dy in zip(dxs, dys, strict=True)) / spread))
