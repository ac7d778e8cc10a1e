"""A choice among targets, which explains itself when it is asked to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tool_router.balance.requirements import CallRequest
from tool_router.balance.strategies.strategy import Weighed, WeighingStrategy
from tool_router.balance.target_state import TargetState

MOST_ALTERNATIVES = 5
_NOTABLE = 0.005
"""A difference between factors that is worth telling."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A target that was not taken.

    Attributes:
        target: its name.
        reason: why another one was taken.
        factors: what the strategy goes by; empty when it was no candidate.
        expected_latency_ms: None when nothing is known.
    """

    target: str
    reason: str
    factors: Mapping[str, float]
    expected_latency_ms: float | None

    def to_json(self) -> dict[str, Any]:
        """As values that JSON knows, rounded to what is meant."""
        return {
            "target": self.target,
            "reason": self.reason,
            "factors": _rounded(self.factors),
            "expected_latency_ms": _in_tenths(self.expected_latency_ms),
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a target was taken.

    Attributes:
        target: its name.
        strategy: what chose it.
        factors: what the strategy goes by; higher is better.
        expected_latency_ms: None when nothing is known.
        load_before, load_after: the part of what the target bears that was taken up, without and with this
            call; above 1 when it has more calls than that.
        unmet: wishes of the caller that no target met, so that they were passed over.
        alternatives: at most `MOST_ALTERNATIVES`, the best first.
    """

    target: str
    strategy: str
    factors: Mapping[str, float]
    expected_latency_ms: float | None
    load_before: float
    load_after: float
    unmet: Sequence[str]
    alternatives: Sequence[Alternative]

    def to_json(self) -> dict[str, Any]:
        """As values that JSON knows, rounded to what is meant."""
        return {
            "target": self.target,
            "strategy": self.strategy,
            "factors": _rounded(self.factors),
            "expected_latency_ms": _in_tenths(self.expected_latency_ms),
            "load_before": round(self.load_before, 4),
            "load_after": round(self.load_after, 4),
            "unmet": list(self.unmet),
            "alternatives": [alternative.to_json() for alternative in self.alternatives],
        }


class Choice:
    """A target that was chosen for a call. Costs next to nothing until it is asked to explain itself.

    Attributes:
        target: what was chosen.
        index: its place among the targets.
    """

    __slots__ = ("_request", "_strategy", "_targets", "_under_way", "index", "target")

    def __init__(
        self,
        strategy: WeighingStrategy,
        targets: Sequence[TargetState],
        request: CallRequest,
        index: int,
    ) -> None:
        self.index = index
        self.target = targets[index]
        self._strategy = strategy
        self._targets = targets
        self._request = request
        self._under_way = self.target.under_way

    def explain(self) -> Explanation:
        """Say why, by what is known at the time of asking: ask soon after the choice.

        Raises:
            NoTargetFits: the labels of the targets have changed since, and none fits any more.
        """
        weighing = self._strategy.weigh(self._targets, self._request)
        taken = weighing.targets[self.index]
        others = [
            (target, weighed)
            for index, (target, weighed) in enumerate(zip(self._targets, weighing.targets, strict=True))
            if index != self.index
        ]
        others.sort(key=lambda other: (bool(other[1].left_out), -_worth(other[1])))
        return Explanation(
            self.target.spec.name,
            self._strategy.name,
            taken.factors,
            taken.latency_ms,
            self._under_way * taken.unit,
            (self._under_way + 1) * taken.unit,
            tuple(weighing.unmet),
            tuple(
                Alternative(
                    target.spec.name, _reason(target, weighed, taken), weighed.factors, weighed.latency_ms
                )
                for target, weighed in others[:MOST_ALTERNATIVES]
            ),
        )


def decide(strategy: WeighingStrategy, targets: Sequence[TargetState], request: CallRequest) -> Choice:
    """Let a strategy choose. The targets must not be changed as a sequence afterwards.

    Raises:
        NoTargetFits: none has the labels that the request requires.
    """
    return Choice(strategy, targets, request, strategy.choose(targets, request))


def _worth(weighed: Weighed) -> float:
    factors = weighed.factors
    return factors.get("score", max(factors.values(), default=0.0))


def _reason(target: TargetState, other: Weighed, taken: Weighed) -> str:
    """Why a target was not taken, in one clause."""
    if other.left_out:
        return other.left_out
    if target.share < 1.0:
        return f"it recovers and gets {target.share:.0%} of its normal share"
    if other.factors.get("score", -1.0) >= taken.factors.get("score", 0.0):
        return "its score is no lower; the draw spreads calls over good targets and tries the others"
    short = {
        name: taken.factors[name] - value
        for name, value in other.factors.items()
        if name in taken.factors and name not in ("score", "turns_behind")
    }
    worst = max(short, key=short.__getitem__, default="")
    if worst and short[worst] > _NOTABLE:
        return f"its {worst.replace('_', ' ')} is {other.factors[worst]:.2f}, not {taken.factors[worst]:.2f}"
    return "it is as good; the turn or the draw decided"


def _rounded(factors: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in factors.items()}


def _in_tenths(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
