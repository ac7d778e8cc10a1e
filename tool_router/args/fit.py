"""How well a span answers a slot: its form, the words around it, and the key it was given.

The score is a sum of a few terms, each explained where it is added; 0.3 is a guess by form alone, 0.6 a value
with one good reason, 1.0 and more a value that the text names. The terms were set on the structure of
public function-calling tasks, not on their wording.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tool_router.args.choices import Strength, choices
from tool_router.args.cues import Cues, Surroundings
from tool_router.args.meaning import Meaning
from tool_router.args.model import Source
from tool_router.args.roles import Role, place_in_family, role_of
from tool_router.args.shape import Shaped, shape
from tool_router.args.slots import Slot
from tool_router.args.span import Kind, Span
from tool_router.args.spans import Reading
from tool_router.args.words import Token, stem

_CHOICE = {Strength.EXACT: 0.75, Strength.STEM: 0.68, Strength.PART: 0.4, Strength.FUZZY: 0.4}
_NAMING = frozenset({stem(word) for word in ("called", "named", "titled")})
_NAMED = frozenset({"name", stem("title"), "nam", "titl"})
_WORDY = frozenset({Kind.NAME, Kind.PHRASE})
_LIMITS = frozenset("limit max maximum count top num n size length head tail".split())
_QUANTIFIERS = frozenset(
    stem(word) for word in "first last top latest recent maximum most limit past newest".split()
)
"""Words before a number that make it a limit: "the last 5 commits"."""
_LOCATING = frozenset("in at near around to from of for between and through".split())
_PEOPLE = re.compile(r"(?:ese|ish|ian|ican|rman|orean|ench|utch|aeli|raqi)$")
"""How adjectives of countries end: "German history" is of Germany, which "German" does not name."""
_INNER = frozenset({"city", "town", "village", "district"})
_OUTER = frozenset({"country", "state", "province", "region", "county"})
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
        role: whether its preposition speaks for (1) or against (-1) the slot's role as a start or an end; None
            when the slot has no such role.
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
        self._loose_text = loose_text
        self.readings = readings
        self.slots = slots
        self.tool_stems = tool_stems
        self._places: list[tuple[Reading, Surroundings, int]] = []
        shift = 0
        for reading in readings:
            self._places.append((reading, Surroundings(reading), shift))
            shift += len(reading.words) + 1
        counts: Counter[str] = Counter()
        for slot in slots:
            counts.update(set(slot.stems) | slot.about)
        self._spread: Mapping[str, int] = counts
        self._roles = [role_of(slot) for slot in slots]
        self._keys = {_plain(slot.name): index for index, slot in enumerate(slots)}
        self._first_parts, self._second_parts = _pair_parts(readings)
        self._families = Counter(family[0] for family in map(place_in_family, slots) if family)
        self._cues: dict[tuple[int, int, int], Cues] = {}

    def fits(self, extra: Mapping[int, Sequence[Span]]) -> list[list[Fit]]:
        """For every slot its best candidates, best first; `extra` adds spans made for single slots."""
        found: list[list[Fit]] = []
        for index, slot in enumerate(self.slots):
            mine: list[Fit] = []
            for place, (reading, around, shift) in enumerate(self._places):
                mine.extend(self._chosen(index, slot, place))
                added = [span for span in extra.get(index, ()) if span.source is reading.source]
                for span in (*reading.spans, *added):
                    fit = self._fit(index, slot, span, place, around, shift)
                    if fit is not None:
                        mine.append(fit)
            mine.sort(key=lambda fit: -fit.score)
            found.append(_distinct(mine)[:_MAX_PER_SLOT])
        return found

    def _cues_of(self, span: Span, place: int) -> Cues:
        key = (place, span.start, span.end)
        cues = self._cues.get(key)
        if cues is None:
            cues = self._cues[key] = self._places[place][1].cues(span)
        return cues

    def _chosen(self, index: int, slot: Slot, place: int) -> list[Fit]:
        """Options the schema names (of the items, for an array) that the text mentions."""
        reading, around, shift = self._places[place]
        inner = slot.item if slot.item is not None and slot.item.accepts("string") else slot
        several = inner is not slot
        fits: list[Fit] = []
        for choice in choices(inner, reading):
            cues = self._cues_of(choice.span, place)
            cue = self._cue(slot, cues)
            score = _CHOICE[choice.strength] - (0.0 if choice.declared else 0.05)
            score += (
                0.3 * cue + self._role(index, slot, cues) - (0.1 if reading.source is Source.CONTEXT else 0)
            )
            if not choice.declared and self._names_other(index, cues.words):
                score -= 0.35
            mask = around.mask(choice.span, shift)
            fits.append(
                Fit(
                    index,
                    choice.span,
                    choice.span.value,
                    score,
                    mask,
                    cue,
                    chosen=True,
                    role=self._judged(index, cues),
                )
            )
        if several and fits:
            return [_gathered(index, inner, fits)]
        return fits

    def _names_other(self, index: int, words: Sequence[str]) -> bool:
        """Whether an example is the name of another slot, which the text then speaks of."""
        return any(at != index and set(words) == set(other.stems) for at, other in enumerate(self.slots))

    def _fit(
        self, index: int, slot: Slot, span: Span, place: int, around: Surroundings, shift: int
    ) -> Fit | None:
        keyed = False
        if span.key:
            owner = self._keys.get(_plain(span.key))
            keyed = owner == index
            if owner is not None and not keyed:
                return None
        cues = self._cues_of(span, place)
        trimmed, inside = span, 0.0
        if span.kind in _WORDY and span.unit != "pair":
            trimmed, inside = self._trim(slot, span, cues, place)
        shaped = shape(trimmed, slot) or (_forced(trimmed, slot) if keyed else None)
        if shaped is None:
            return None
        cue = max(self._cue(slot, cues), inside)
        score = shaped.fit + 0.5 * cue + self._role(index, slot, cues)
        if keyed:
            score += 1.0
        if (
            cues.words
            and not keyed
            and (span.kind in _WORDY or (span.kind is Kind.IDENTIFIER and span.text.isalpha()))
        ):
            score -= self._echo(span.kind, cues.words)
        doubt = shaped.doubt
        if slot.meaning is Meaning.PLACE and span.kind is Kind.NAME:
            score += self._part(slot, span) + (0.06 if span.unit == "extended" else 0.0)
            if cues.after and not doubt and (cues.preposition not in _LOCATING or _PEOPLE.search(span.text)):
                doubt = f"{trimmed.text!r} describes something else"
        if span.kind is Kind.NUMBER and span.text.isalpha() and self._counts_siblings(span, slot, cues):
            score -= 0.3
        if span.kind is Kind.NUMBER and _LIMITS & set(slot.words) and _QUANTIFIERS & cues.before.keys():
            score += 0.25
        if span.source is Source.CONTEXT:
            score -= 0.1 if slot.required else 0.3
        if score <= 0.05:
            return None
        return Fit(
            index,
            trimmed,
            shaped.value,
            score,
            0 if self._loose_text and span.kind is Kind.TEXT else around.mask(trimmed, shift),
            cue,
            keyed=keyed,
            doubt=doubt,
            role=self._judged(index, cues),
        )

    def _trim(self, slot: Slot, span: Span, cues: Cues, place: int) -> tuple[Span, float]:
        """ "low severity level" for severity_level is "low": the slot's own words at either end are no value."""
        reading, around, _ = self._places[place]
        words = [w for w in reading.words[around.index(span.start) : around.index(span.end)] if w.is_word]
        if span.kind is Kind.NAME:
            return self._unlabelled(slot, span, words, reading), 0.0
        own = {s for s in slot.stems if not s.isdigit()}
        first, last = 0, len(words)
        while last > first and words[last - 1].stem in own and not words[last - 1].text[0].isupper():
            last -= 1
        while first < last and words[first].stem in own:
            first += 1
        if first == last or (first == 0 and last == len(words)):
            return span, 0.0
        start, end = words[first].start, words[last - 1].end
        piece = reading.text[start:end]
        share = len({w.stem for w in (*words[:first], *words[last:])}) / max(len(own), 1)
        return replace(span, start=start, end=end, text=piece, value=piece), min(1.0, 0.4 + 0.6 * share)

    def _unlabelled(self, slot: Slot, span: Span, words: Sequence[Token], reading: Reading) -> Span:
        """ "UUID A-1" is "A-1": an acronym of the slot's own description before a name only labels it."""
        first = 0
        while (
            first + 1 < len(words)
            and words[first].text.isupper()
            and words[first].stem in slot.about | set(slot.stems)
        ):
            first += 1
        if not first:
            return span
        start = words[first].start
        return replace(
            span, start=start, text=reading.text[start : span.end], value=reading.text[start : span.end]
        )

    def _counts_siblings(self, span: Span, slot: Slot, cues: Cues) -> bool:
        """Whether "two" in "two numbers" only counts num1 and num2."""
        if span.value not in self._families.values():
            return False
        return place_in_family(slot) is not None or not any(word in cues.after for word in slot.stems)

    def _part(self, slot: Slot, span: Span) -> float:
        """Of "Austin, Texas" the first is the city and the second is what it lies in."""
        key = (span.source, span.start)
        inner, outer = bool(_INNER & set(slot.words)), bool(_OUTER & set(slot.words))
        if key in self._second_parts:
            return 0.25 if outer else -0.25
        if key in self._first_parts and span.unit != "pair":
            return 0.1 if inner else -0.25 if outer else 0.0
        return 0.0

    def _weight(self, word: str) -> float:
        return 1.0 / max(self._spread.get(word, 1), 1)

    def _cue(self, slot: Slot, cues: Cues) -> float:
        """How far the words around a span name the slot, 0 to 1; a word many slots share counts less."""
        total = got = 0.0
        for word in set(slot.stems):
            if word.isdigit():
                continue
            weight = self._weight(word)
            total += weight
            got += weight * _strength(cues, word)
        name = got / total if total else 0.0
        about = max(
            (self._weight(word) * _strength(cues, word) for word in slot.about.difference(slot.stems)),
            default=0.0,
        )
        opaque = all(len(word) <= 2 for word in slot.stems)
        if opaque:
            return max(name, 0.9 * about)
        return min(1.0, 0.85 * name + 0.4 * about)

    def _role(self, index: int, slot: Slot, cues: Cues) -> float:
        """What the governing preposition says: from A to B, between A and B, by an author, in a place."""
        preposition = cues.preposition
        verdict = self._judged(index, cues)
        if verdict:
            return 0.3 * verdict
        if slot.meaning is Meaning.PLACE:
            return {
                "in": 0.2,
                "at": 0.15,
                "near": 0.2,
                "around": 0.15,
                "for": 0.1,
                "of": 0.1,
                "from": 0.1,
                "to": 0.1,
            }.get(preposition, 0.0)
        if slot.meaning is Meaning.PERSON:
            return {"by": 0.3, "with": 0.1, "of": 0.05, "for": 0.05}.get(preposition, 0.0)
        return 0.0

    def _judged(self, index: int, cues: Cues) -> int | None:
        role = self._roles[index]
        if role is Role.NONE:
            family = place_in_family(self.slots[index]) if cues.between else None
            return None if family is None else 1 if family[1] == (1 if cues.between == "first" else 2) else -1
        return role.judge(cues.preposition, cues.between)

    def _echo(self, kind: Kind, words: Sequence[str]) -> float:
        """Words that the tool or its slots use of themselves are the command, not a value."""
        known = sum(1 for word in words if word in self.tool_stems or word in self._spread)
        if kind is Kind.NAME and len(words) > 1:
            return 0.15 if known == len(words) else 0.0
        return 0.3 * known / len(words)


def _pair_parts(readings: Sequence[Reading]) -> tuple[set[tuple[Source, int]], set[tuple[Source, int]]]:
    """Where the first and the second parts of "City, State" pairs begin."""
    firsts: set[tuple[Source, int]] = set()
    seconds: set[tuple[Source, int]] = set()
    for reading in readings:
        for span in reading.spans:
            if span.unit == "pair":
                comma = span.text.rindex(",")
                rest = span.text[comma + 1 :]
                firsts.add((span.source, span.start))
                seconds.add((span.source, span.end - len(rest.lstrip())))
    return firsts, seconds


def _strength(cues: Cues, word: str) -> float:
    found = max(cues.before.get(word, 0.0), 0.9 * cues.after.get(word, 0.0))
    if word == cues.preposition:
        found = 0.9
    if not found and word in _NAMED:
        found = max((0.8 * cues.before.get(naming, 0.0) for naming in _NAMING), default=0.0)
    return found


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def _forced(span: Span, slot: Slot) -> Shaped | None:
    """A value given under the slot's own name, when its form is unusual but a string may be anything."""
    if slot.enum or not slot.accepts("string") or isinstance(span.value, dict | list):
        return None
    return Shaped(span.text, 0.2)


def _gathered(index: int, item: Slot, fits: list[Fit]) -> Fit:
    """All options of an array's items that are mentioned, as one value in the text's order."""
    ordered = sorted(fits, key=lambda fit: fit.span.start)
    values: list[Any] = []
    mask = 0
    for fit in ordered:
        mask |= fit.mask
        if fit.value not in values:
            values.append(fit.value)
    best = max(fits, key=lambda fit: fit.score)
    first, last = ordered[0].span, ordered[-1].span
    span = replace(first, end=max(last.end, first.end), value=values, text=first.text)
    return Fit(index, span, values, best.score, mask, best.cue, chosen=True)


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
