"""What speaks for or against a span as the value of a slot, besides its form: each signal by itself.

Every signal is a small number to add to the score; fit.py adds them up.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from tool_router.args.cues import Cues
from tool_router.args.meaning import Meaning
from tool_router.args.model import Source
from tool_router.args.roles import Role, place_in_family, role_of
from tool_router.args.slots import Slot
from tool_router.args.span import Kind, Span
from tool_router.args.spans import Reading
from tool_router.args.words import stem

_NAMING = frozenset({stem(word) for word in ("called", "named", "titled")})
_NAMED = frozenset({"name", stem("title")})
_LOCATING = frozenset("in at near around to from of for between and through".split())
_LIMITS = frozenset("limit max maximum count top num n size length head tail".split())
_QUANTIFIERS = frozenset(
    stem(word) for word in "first last top latest recent maximum most limit past newest".split()
)
"""Words before a number that make it a limit: "the last 5 commits"."""
_PEOPLE = re.compile(r"(?:ese|ish|ian|ican|rman|orean|ench|utch|aeli|raqi)$")
"""How adjectives of countries end: "German history" is of Germany, which "German" does not name."""
_INNER = frozenset({"city", "town", "village", "district"})
_OUTER = frozenset({"country", "state", "province", "region", "county"})
_PLACING = {"in": 0.2, "near": 0.2, "at": 0.15, "around": 0.15, "for": 0.1, "of": 0.1, "from": 0.1, "to": 0.1}
_AUTHORING = {"by": 0.3, "with": 0.1, "of": 0.05, "for": 0.05}
_ROLE = 0.3


class Signals:
    """The signals of one request: what its slots are called, and what its text says around each span."""

    def __init__(
        self, readings: Sequence[Reading], slots: Sequence[Slot], tool_stems: frozenset[str]
    ) -> None:
        self._slots = slots
        self._tool_stems = tool_stems
        counts: Counter[str] = Counter()
        for slot in slots:
            counts.update(set(slot.stems) | slot.about)
        self._spread: Mapping[str, int] = counts
        self._roles = [role_of(slot) for slot in slots]
        self._places_in_family = [place_in_family(slot) for slot in slots]
        self._families = Counter(place[0] for place in self._places_in_family if place)
        self._first_parts, self._second_parts = _pair_parts(readings)

    def cue(self, slot: Slot, cues: Cues) -> float:
        """How far the words around a span name the slot, 0 to 1; a word many slots share counts less."""
        total = got = 0.0
        for word in set(slot.stems):
            if not word.isdigit():
                weight = self._weight(word)
                total += weight
                got += weight * _strength(cues, word)
        name = got / total if total else 0.0
        others = slot.about.difference(slot.stems)
        about = max((self._weight(word) * _strength(cues, word) for word in others), default=0.0)
        if all(len(word) <= 2 for word in slot.stems):
            return max(name, 0.9 * about)
        return min(1.0, 0.85 * name + 0.4 * about)

    def judged(self, index: int, cues: Cues) -> int | None:
        """Whether the preposition speaks for (1) or against (-1) a slot's end; None when it has none."""
        role = self._roles[index]
        if role is not Role.NONE:
            return role.judge(cues.preposition, cues.between)
        place = self._places_in_family[index] if cues.between else None
        if place is None:
            return None
        return 1 if place[1] == (1 if cues.between == "first" else 2) else -1

    def role(self, index: int, cues: Cues) -> float:
        """What the governing preposition says: from A to B, between A and B, by an author, in a place."""
        verdict = self.judged(index, cues)
        if verdict:
            return _ROLE * verdict
        meaning = self._slots[index].meaning
        if meaning is Meaning.PLACE:
            return _PLACING.get(cues.preposition, 0.0)
        return _AUTHORING.get(cues.preposition, 0.0) if meaning is Meaning.PERSON else 0.0

    def echo(self, span: Span, words: Sequence[str]) -> float:
        """Words that the tool or its slots use of themselves are the command, not a value: a penalty."""
        coined = span.kind is Kind.IDENTIFIER and span.text.isalpha()
        if not words or not (coined or span.kind in (Kind.NAME, Kind.PHRASE)):
            return 0.0
        known = sum(1 for word in words if word in self._tool_stems or word in self._spread)
        if span.kind is Kind.NAME and len(words) > 1:
            return -0.15 if known == len(words) else 0.0
        return -0.3 * known / len(words)

    def amount(self, index: int, span: Span, cues: Cues) -> float:
        """For a number: "two" in "two numbers" only counts num1 and num2; "the last 5" is a limit."""
        if span.kind is not Kind.NUMBER:
            return 0.0
        slot, score = self._slots[index], 0.0
        if span.text.isalpha() and span.value in self._families.values():
            sibling = self._places_in_family[index] is not None
            if sibling or not any(word in cues.after for word in slot.stems):
                score -= 0.3
        if _LIMITS & set(slot.words) and _QUANTIFIERS & cues.before.keys():
            score += 0.25
        return score

    def place(self, slot: Slot, span: Span, cues: Cues) -> tuple[float, str]:
        """(score, doubt) of a name as a place: which part of "Austin, Texas" it is, if it is one at all."""
        if slot.meaning is not Meaning.PLACE or span.kind is not Kind.NAME:
            return 0.0, ""
        score = self._part(slot, span) + (0.06 if span.unit == "extended" else 0.0)
        describing = cues.after and (cues.preposition not in _LOCATING or _PEOPLE.search(span.text))
        return score, f"{span.text!r} describes something else" if describing else ""

    def names_other(self, index: int, words: Sequence[str]) -> bool:
        """Whether an example is the name of another slot, which the text then speaks of."""
        return any(at != index and set(words) == set(other.stems) for at, other in enumerate(self._slots))

    def _weight(self, word: str) -> float:
        return 1.0 / max(self._spread.get(word, 1), 1)

    def _part(self, slot: Slot, span: Span) -> float:
        key, words = (span.source, span.start), set(slot.words)
        inner, outer = bool(_INNER & words), bool(_OUTER & words)
        if key in self._second_parts:
            return 0.25 if outer else -0.25
        if key in self._first_parts and span.unit != "pair":
            return 0.1 if inner else -0.25 if outer else 0.0
        return 0.0


def _pair_parts(readings: Sequence[Reading]) -> tuple[set[tuple[Source, int]], set[tuple[Source, int]]]:
    """Where the first and the second parts of "City, State" pairs begin."""
    firsts: set[tuple[Source, int]] = set()
    seconds: set[tuple[Source, int]] = set()
    for reading in readings:
        for span in reading.spans:
            if span.unit == "pair":
                rest = span.text[span.text.rindex(",") + 1 :]
                firsts.add((span.source, span.start))
                seconds.add((span.source, span.end - len(rest.lstrip())))
    return firsts, seconds


def _strength(cues: Cues, word: str) -> float:
    """How strongly the surroundings hold a word of a slot, 0 to 1."""
    if word == cues.preposition:
        return 0.9
    found = max(cues.before.get(word, 0.0), 0.9 * cues.after.get(word, 0.0))
    if not found and word in _NAMED:
        return max((0.8 * cues.before.get(naming, 0.0) for naming in _NAMING), default=0.0)
    return found
