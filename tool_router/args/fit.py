"""How well a span answers a slot: its form, the words around it, and the key it was given.

The score is a sum: 0.3 is a guess by form alone, 0.6 a value with one good reason, 1.0 and more a value that
the text names. The weights were set on the structure of public function-calling tasks, not on their wording.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tool_router.args.choices import Strength, choices
from tool_router.args.cues import Cues, Surroundings
from tool_router.args.model import Source
from tool_router.args.shape import shape
from tool_router.args.signals import Signals
from tool_router.args.slots import Slot
from tool_router.args.span import Kind, Shaped, Span
from tool_router.args.spans import Reading
from tool_router.args.trim import trim

_CHOICE = {Strength.EXACT: 0.75, Strength.STEM: 0.68, Strength.PART: 0.4, Strength.FUZZY: 0.4}
_CUE = 0.5
_KEY = 1.0
_LEAST = 0.05
_MAX_PER_SLOT = 8


@dataclass(frozen=True, slots=True)
class Fit:
    """A span as a possible value of a slot.

    Attributes:
        slot: index of the slot.
        mask: the words it covers, as bits over task and context together.
        cue: strength of the words around it that name the slot, 0 to 1.
        chosen: whether the schema itself names the value.
        keyed: whether the text gives it under the slot's own name (``limit=5``).
        doubt: why the value's form is unsure, empty when it is sure.
        role: whether its preposition speaks for (1) or against (-1) the slot's role as a start or an end;
            None when the slot has no such role.
        unsupported: set by the binder when nothing tells the two ends apart.
    """

    slot: int
    span: Span
    value: Any
    score: float
    mask: int
    cue: float = 0.0
    chosen: bool = False
    keyed: bool = False
    doubt: str = ""
    role: int | None = None
    unsupported: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """A reading among the readings: `shift` is where its words begin in the masks."""

    reading: Reading
    around: Surroundings
    shift: int

    def mask(self, span: Span) -> int:
        return self.around.mask(span, self.shift)


class Scene:
    """The readings of one request and the slots they may answer.

    With `loose_text` a stretch of free text may hold the value of another slot ("Ada likes tea" of Ada).
    """

    def __init__(
        self,
        readings: Sequence[Reading],
        slots: Sequence[Slot],
        tool_stems: frozenset[str],
        *,
        loose_text: bool = False,
    ) -> None:
        self._slots = slots
        self._loose_text = loose_text
        self._signals = Signals(readings, slots, tool_stems)
        self._keys = {_plain(slot.name): index for index, slot in enumerate(slots)}
        self._places: list[_Place] = []
        shift = 0
        for reading in readings:
            self._places.append(_Place(reading, Surroundings(reading), shift))
            shift += len(reading.words) + 1
        self._cues: dict[tuple[Source, int, int], Cues] = {}

    def fits(self, extra: Mapping[int, Sequence[Span]]) -> list[list[Fit]]:
        """For every slot its best candidates, best first; `extra` adds spans made for single slots."""
        found: list[list[Fit]] = []
        for index in range(len(self._slots)):
            mine: list[Fit] = []
            for place in self._places:
                mine.extend(self._chosen(index, place))
                added = [span for span in extra.get(index, ()) if span.source is place.reading.source]
                mine.extend(self._free(index, place, (*place.reading.spans, *added)))
            mine.sort(key=lambda fit: -fit.score)
            found.append(_distinct(mine)[:_MAX_PER_SLOT])
        return found

    def _cues_of(self, span: Span, place: _Place) -> Cues:
        key = (span.source, span.start, span.end)
        cues = self._cues.get(key)
        if cues is None:
            cues = self._cues[key] = place.around.cues(span)
        return cues

    def _chosen(self, index: int, place: _Place) -> list[Fit]:
        """Options the schema names (of the items, for an array) that the text mentions."""
        slot = self._slots[index]
        inner = slot.item if slot.item is not None and slot.item.accepts("string") else slot
        fits: list[Fit] = []
        for choice in choices(inner, place.reading):
            cues = self._cues_of(choice.span, place)
            cue = self._signals.cue(slot, cues)
            score = _CHOICE[choice.strength] + 0.3 * cue + self._signals.role(index, cues)
            if not choice.declared:
                score -= 0.4 if self._signals.names_other(index, cues.words) else 0.05
            if choice.span.source is Source.CONTEXT:
                score -= 0.1
            role = self._signals.judged(index, cues)
            mask = place.mask(choice.span)
            fits.append(Fit(index, choice.span, choice.span.value, score, mask, cue, chosen=True, role=role))
        return [_gathered(fits, place.reading)] if fits and inner is not slot else fits

    def _free(self, index: int, place: _Place, spans: Sequence[Span]) -> Iterator[Fit]:
        """Spans whose form suits the slot."""
        slot = self._slots[index]
        for span in spans:
            owner = self._keys.get(_plain(span.key)) if span.key else None
            if owner is None or owner == index:
                fit = self._fit(index, slot, span, place, keyed=owner == index)
                if fit is not None:
                    yield fit

    def _fit(self, index: int, slot: Slot, span: Span, place: _Place, *, keyed: bool) -> Fit | None:
        trimmed, inside = trim(slot, span, place.reading, place.around.words_of(span))
        shaped = shape(trimmed, slot) or (_forced(trimmed, slot) if keyed else None)
        if shaped is None:
            return None
        cues = self._cues_of(span, place)
        cue = max(self._signals.cue(slot, cues), inside)
        score = shaped.fit + _CUE * cue + self._signals.role(index, cues)
        score += _KEY if keyed else self._signals.echo(span, cues.words)
        score += self._signals.amount(index, span, cues)
        placed, doubt = self._signals.place(slot, trimmed, cues)
        score += placed
        if span.source is Source.CONTEXT:
            score -= 0.1 if slot.required else 0.3
        if score <= _LEAST:
            return None
        mask = 0 if self._loose_text and span.kind is Kind.TEXT else place.mask(trimmed)
        role = self._signals.judged(index, cues)
        said = shaped.doubt or doubt
        return Fit(index, trimmed, shaped.value, score, mask, cue, keyed=keyed, doubt=said, role=role)


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def _forced(span: Span, slot: Slot) -> Shaped | None:
    """A value given under the slot's own name, when its form is unusual but a string may be anything."""
    if slot.enum or not slot.accepts("string") or isinstance(span.value, dict | list):
        return None
    return Shaped(span.text, 0.2)


def _gathered(fits: list[Fit], reading: Reading) -> Fit:
    """All options of an array's items that are mentioned, as one value in the text's order."""
    ordered = sorted(fits, key=lambda fit: fit.span.start)
    values: list[Any] = []
    mask = 0
    for fit in ordered:
        mask |= fit.mask
        if fit.value not in values:
            values.append(fit.value)
    start, end = ordered[0].span.start, max(fit.span.end for fit in ordered)
    span = replace(ordered[0].span, end=end, value=values, text=reading.text[start:end])
    return replace(max(fits, key=lambda fit: fit.score), span=span, value=values, mask=mask, role=None)


def _distinct(fits: list[Fit]) -> list[Fit]:
    """The best fit of each value and place, best first."""
    seen: set[tuple[str, int]] = set()
    kept: list[Fit] = []
    for fit in fits:
        key = (repr(fit.value), fit.mask)
        if key not in seen:
            seen.add(key)
            kept.append(fit)
    return kept
