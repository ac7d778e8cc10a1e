"""Binds spans to slots as one joint assignment: every span is used once and the total is the best one.

A beam search over the slots, those with the fewest and clearest candidates first. With the beam as wide as it
is, the result is the optimum for any ordinary schema; what the beam holds besides is the runner-up of each
choice, from which the margins come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tool_router.args.fit import Fit
from tool_router.args.roles import place_in_family
from tool_router.args.slots import Slot

BEAM = 48
REQUIRED_BONUS = 0.3
"""What filling a required parameter is worth, so that an optional one never takes its value."""
LEAST_REQUIRED = 0.2
LEAST_OPTIONAL = 0.55
"""Scores below these are no binding at all; an optional parameter must be clearly mentioned."""
_DISORDER = 0.25
_MAX_ACTIVE = 60


@dataclass(frozen=True, slots=True)
class Binding:
    """The chosen candidate of a slot.

    Attributes:
        margin: by how much the whole assignment would be worse with another value here.
        rival: the candidate that would then be taken; None when it would stay empty.
    """

    fit: Fit
    margin: float
    rival: Fit | None


@dataclass(frozen=True, slots=True)
class _State:
    total: float
    mask: int
    chosen: tuple[Fit | None, ...]
    positions: tuple[tuple[str, int, int], ...] = ()


def bind(slots: Sequence[Slot], fits: Sequence[Sequence[Fit]]) -> Mapping[int, Binding]:
    """The best joint assignment: slot index to binding; slots that stay empty are absent."""
    active: list[tuple[int, list[Fit]]] = []
    for index, (slot, mine) in enumerate(zip(slots, fits, strict=True)):
        least = LEAST_REQUIRED if slot.required else LEAST_OPTIONAL
        usable = [fit for fit in mine if fit.score >= least]
        if usable:
            active.append((index, usable))
    active.sort(key=lambda pair: (not slots[pair[0]].required, -pair[1][0].score))
    active = active[:_MAX_ACTIVE]
    families = {index: place_in_family(slots[index]) for index, _ in active}
    beam = [_State(0.0, 0, ())]
    for index, usable in active:
        grown = [_State(state.total, state.mask, (*state.chosen, None), state.positions) for state in beam]
        bonus = REQUIRED_BONUS if slots[index].required else -LEAST_OPTIONAL / 2
        for state in beam:
            grown.extend(
                _extend(state, fit, fit.score + bonus, families[index])
                for fit in usable
                if not fit.mask & state.mask
            )
        grown.sort(key=lambda state: -state.total)
        beam = grown[:BEAM]
    best = beam[0]
    result: dict[int, Binding] = {}
    for at, (index, _) in enumerate(active):
        fit = best.chosen[at]
        if fit is None:
            continue
        other = next((state for state in beam[1:] if not _same(state.chosen[at], fit)), None)
        margin = best.total - other.total if other else fit.score
        result[index] = Binding(fit, margin, other.chosen[at] if other else None)
    return {index: _supported(index, binding, result, families) for index, binding in result.items()}


def _supported(
    index: int, binding: Binding, bound: Mapping[int, Binding], families: Mapping[int, tuple[str, int] | None]
) -> Binding:
    """Mark a start or an end whose preposition, and whose other end's, say nothing."""
    fit, family = binding.fit, families[index]
    if fit.role is None or fit.role > 0 or fit.keyed or family is None:
        return binding
    ends = [other for at, other in bound.items() if (families[at] or ("", 0))[0] == family[0] and at != index]
    if not ends or any((other.fit.role or 0) > 0 for other in ends) or fit.cue >= 0.6:
        return binding
    return replace(binding, fit=replace(fit, unsupported=True))


def _extend(state: _State, fit: Fit, gain: float, family: tuple[str, int] | None) -> _State:
    positions = state.positions
    if family is not None:
        for name, place, start in positions:
            if name == family[0] and (place < family[1]) != (start < fit.span.start):
                gain -= _DISORDER
        positions = (*positions, (family[0], family[1], fit.span.start))
    return _State(state.total + gain, state.mask | fit.mask, (*state.chosen, fit), positions)


def _same(one: Fit | None, other: Fit) -> bool:
    return one is not None and one.value == other.value
