"""The targets of a decision with what was derived from their windows, kept for many decisions.

Nothing here refers back to what made it, so that all of it is gone at once when it is outdated.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence

from tool_router.balance.requirements import NO_REQUIREMENTS, CallRequest, Requirements
from tool_router.balance.strategies.scoring import Measured, measure
from tool_router.balance.target_state import TargetState
from tool_router.errors import NoTargetFits

SLOTS = 8.0
"""Calls at once that a target of weight 1 without a capacity is taken to bear, until more are under way."""
MOST_PARTS = 64
"""Requests of different kinds whose candidates are kept; the next one starts afresh."""


class View:
    """The targets of a decision, and what was read from their windows.

    Args:
        targets: what may be called.
        measured: what was read from windows already; added to when more is asked for.
    """

    __slots__ = ("_measured", "targets", "units")

    def __init__(
        self, targets: tuple[TargetState, ...], measured: MutableMapping[TargetState, Measured]
    ) -> None:
        self.targets = targets
        self.units = _units(targets)
        self._measured = measured

    def measured(self, index: int) -> Measured:
        """What is expected of the target at this place; read from its window once for each refresh."""
        target = self.targets[index]
        known = self._measured.get(target)
        if known is None:
            known = self._measured[target] = measure(target)
        return known


class Candidates:
    """Some targets of a view: those that a request may go to. Compared by identity.

    Attributes:
        indices: their places in the view.
        targets: the targets themselves, in the same order.
        units: for each, the part of what it bears that one call takes up.
        unmet: wishes that none of the targets met, so that they were passed over.
        reasons: for places of the view that were left out, why.
    """

    __slots__ = ("_parts", "indices", "reasons", "targets", "units", "unmet", "view")

    def __init__(
        self,
        view: View,
        indices: Sequence[int],
        unmet: tuple[str, ...] = (),
        reasons: dict[int, str] | None = None,
    ) -> None:
        self.view = view
        self.indices = tuple(indices)
        self.targets = tuple(view.targets[index] for index in indices)
        self.units = tuple(view.units[index] for index in indices)
        self.unmet = unmet
        self.reasons = reasons or {}
        self._parts: dict[object, Candidates] = {}

    def part(self, key: object, make: Callable[[Candidates], Candidates]) -> Candidates:
        """Some of these candidates, made once for a key."""
        part = self._parts.get(key)
        if part is None:
            if len(self._parts) >= MOST_PARTS:
                self._parts.clear()
            part = self._parts[key] = make(self)
        return part

    def where(self, keep: Callable[[int], bool], wish: str, reason: Callable[[int], str]) -> Candidates:
        """Those that meet a wish; when none does, all of them, with the wish noted as unmet.

        Args:
            keep: whether the target at this place of the view meets the wish.
            wish: the wish in words.
            reason: why the target at this place is left out.
        """
        kept = [index for index in self.indices if keep(index)]
        if not kept:
            return Candidates(self.view, self.indices, (*self.unmet, wish), self.reasons)
        left_out = {index: reason(index) for index in self.indices if index not in kept}
        return Candidates(self.view, kept, self.unmet, {**self.reasons, **left_out})

    def without(self, index: int) -> Candidates:
        """All but the one at this place of the view."""
        return self.part(index, lambda every: every.where(lambda one: one != index, "", lambda one: ""))


def fitting(every: Candidates, request: CallRequest) -> Candidates:
    """The targets that have the labels, and as far as possible what the caller wishes.

    Wishes are taken one after the other: reliability, response time, quality, preferred targets. One that
    none of the targets left can meet is passed over.

    Args:
        every: all targets of a view.
        request: the call.

    Raises:
        NoTargetFits: none has the labels.
    """
    return every.part((request.labels, request.requirements), lambda all_: _fit(all_, request))


def _fit(found: Candidates, request: CallRequest) -> Candidates:
    targets = found.view.targets
    if request.labels:
        found = found.where(
            lambda index: request.labels <= targets[index].spec.labels,
            "labels",
            lambda index: "it lacks " + ", ".join(sorted(request.labels - targets[index].spec.labels)),
        )
        if found.unmet:
            raise NoTargetFits(request.labels)
    return found if request.requirements == NO_REQUIREMENTS else _wished(found, request.requirements)


def _wished(found: Candidates, wishes: Requirements) -> Candidates:
    view = found.view
    if (least := wishes.min_reliability) is not None:
        found = found.where(
            lambda index: view.measured(index).expected.reliability >= least,
            f"reliability of at least {least:g}",
            lambda index: f"its reliability is {view.measured(index).expected.reliability:.2f}",
        )
    if (most_ms := wishes.max_latency_ms) is not None:
        # One of which nothing is known gets the benefit of the doubt, or it would never be known.
        found = found.where(
            lambda index: (view.measured(index).expected.latency_ms or 0.0) <= most_ms,
            f"response time of at most {most_ms:g} ms",
            lambda index: f"it takes about {view.measured(index).expected.latency_ms or 0.0:.0f} ms",
        )
    if (least_quality := wishes.min_quality) is not None:
        found = found.where(
            lambda index: view.measured(index).expected.quality >= least_quality,
            f"quality of at least {least_quality:g}",
            lambda index: f"its quality is {view.measured(index).expected.quality:.2f}",
        )
    if wishes.preferred:
        found = found.where(
            lambda index: view.targets[index].spec.name in wishes.preferred,
            "one of " + ", ".join(sorted(wishes.preferred)),
            lambda index: "it is not among the preferred ones",
        )
    return found


def _units(targets: Sequence[TargetState]) -> Sequence[float]:
    """For each target, the part of what it bears that one call takes up.

    It bears its capacity, in calls. One without a capacity is taken to bear, for each unit of weight, what
    those with one do on average; without any such, `SLOTS`, or twice the calls that are under way on average
    when that is more.
    """
    bound = [target.spec for target in targets if target.spec.capacity]
    if bound:
        per_weight = sum(spec.capacity for spec in bound) / sum(spec.weight for spec in bound)
    else:
        weight = sum(target.spec.weight for target in targets) or 1.0
        per_weight = max(SLOTS, 2.0 * sum(target.under_way for target in targets) / weight)
    return [1.0 / (target.spec.capacity or target.spec.weight * per_weight) for target in targets]
