"""Which choices of an assignment were not clear, each as one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tool_router.args.bind import Binding
from tool_router.args.fit import Fit
from tool_router.args.slots import Slot
from tool_router.args.spans import Reading

LEAST_SCORE = 0.45
LEAST_MARGIN = 0.15


def doubts_of(
    slots: Sequence[Slot],
    fits: Sequence[Sequence[Fit]],
    bindings: Mapping[int, Binding],
    readings: Sequence[Reading],
) -> tuple[str, ...]:
    """One sentence for every binding that another reading of the text could have given otherwise."""
    found: list[str] = []
    for index, binding in bindings.items():
        slot, fit = slots[index], binding.fit
        if fit.doubt:
            found.append(f"{slot.name}: {fit.doubt}.")
        elif fit.score < LEAST_SCORE:
            found.append(f"{slot.name}: {fit.span.text!r} was taken by its form alone.")
        elif binding.margin < LEAST_MARGIN:
            other = f"{binding.rival.span.text!r}" if binding.rival else "nothing"
            found.append(f"{slot.name}: {fit.span.text!r} or {other}?")
    return tuple(found)
