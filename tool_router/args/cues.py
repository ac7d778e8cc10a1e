"""The words around a span that tell what it is for: "a radius of 5", "10 nights", "from Oslo to Rome".

A cue's strength falls with its distance, counted in words of meaning; a window ends where the clause ends or
where another value stands.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tool_router.args.span import Kind, Span
from tool_router.args.spans import Reading
from tool_router.args.words import Token, is_function_word

_STOPS = frozenset(".;?!")
_ARTICLES = frozenset({"the", "a", "an", "my", "our", "your", "this", "that", "his", "her", "their", "its"})
_PREPOSITIONS = frozenset(
    """of in on at by for from to with into about between near around through during before after until
    since within via per as and or starting over under against""".split()
)
_APART = frozenset("in to for from on at by over under into".split())
_ACROSS = 0.9
"""What remains of a cue on the far side of a preposition that is not "of" or "with"."""
_TELLING = frozenset({"called", "named", "titled", "starting", "ending", "using"})
_DECAY = (1.0, 0.85, 0.65, 0.45)
_SOLID = frozenset(
    {
        Kind.NUMBER,
        Kind.QUOTED,
        Kind.DATE,
        Kind.TIME,
        Kind.URL,
        Kind.EMAIL,
        Kind.PATH,
        Kind.JSON,
        Kind.IDENTIFIER,
    }
)


@dataclass(frozen=True, slots=True)
class Cues:
    """What surrounds a span.

    Attributes:
        before: stem to strength in (0, 1], of the words before it.
        after: the same for the words right after it.
        preposition: the preposition that governs it, lower case; empty without one.
        between: "first" or "second" in "between A and B"; empty elsewhere.
        words: the stems of the span's own words.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    preposition: str
    between: str
    words: tuple[str, ...]


class Surroundings:
    """Finds the cues of every span of one reading."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._words = reading.words
        self._starts = [word.start for word in reading.words]
        self._walled: set[int] = set()
        for span in reading.spans:
            if span.kind in _SOLID and not (
                span.kind is Kind.NUMBER and span.unit == "th" and span.text.isalpha()
            ):
                self._walled.update(range(self.index(span.start), self.index(span.end)))

    def index(self, offset: int) -> int:
        """Index of the first word that starts at or after an offset."""
        return bisect_left(self._starts, offset)

    def cues(self, span: Span) -> Cues:
        """The cues of one span."""
        first, last = self.index(span.start), self.index(span.end)
        own = tuple(word.stem for word in self._words[first:last] if word.is_word)
        preposition, between = self._governor(first)
        return Cues(self._before(first), self._after(last), preposition, between, own)

    def words_of(self, span: Span) -> Sequence[Token]:
        """The words a span covers, without punctuation."""
        first, last = self.index(span.start), self.index(span.end)
        return [word for word in self._words[first:last] if word.is_word]

    def mask(self, span: Span, shift: int) -> int:
        """The words a span covers, as bits, so that overlap is one ``&``."""
        first, last = self.index(span.start), self.index(span.end)
        if first and self._words[first - 1].end > span.start:
            first -= 1
        return ((1 << max(last - first, 1)) - 1) << (first + shift)

    def _before(self, first: int) -> dict[str, float]:
        found: dict[str, float] = {}
        distance, damping = 0, 1.0
        for index in range(first - 1, max(first - 12, -1), -1):
            word = self._words[index]
            if word.text in _STOPS or "\n" in self._reading.text[word.end : self._words[index + 1].start]:
                break
            if word.text == "," and index < first - 1:
                break
            low = word.text.lower()
            if low == "and" and distance:
                break
            if index in self._walled:
                break
            if not word.is_word:
                continue
            if low in _APART:
                damping = _ACROSS
            if is_function_word(low) and low not in _TELLING:
                continue
            found.setdefault(word.stem, damping * _DECAY[distance])
            distance += 1
            if distance >= len(_DECAY):
                break
        return found

    def _after(self, last: int) -> dict[str, float]:
        found: dict[str, float] = {}
        distance, index, linked = 0, last, False
        while index < min(last + 6, len(self._words)):
            word = self._words[index]
            low = word.text.lower()
            if index == last and word.text in "\"'”’`":
                index += 1
                continue
            if low == "as" and not found:
                linked = True
            elif (linked and low in _ARTICLES) or word.text in ("-", "’s", "'s"):
                pass
            elif not word.is_word or is_function_word(low) or index in self._walled:
                break
            else:
                found.setdefault(word.stem, _DECAY[distance])
                distance += 1
                if distance >= 3:
                    break
            index += 1
        return found

    def _governor(self, first: int) -> tuple[str, str]:
        between = ""
        index = first - 1
        while index >= 0 and (
            self._words[index].text.lower() in _ARTICLES or self._words[index].text in "\"'“‘`($"
        ):
            index -= 1
        if index < 0:
            return "", ""
        low = self._words[index].text.lower()
        if low not in _PREPOSITIONS:
            return "", ""
        if low == "between":
            between = "first"
        elif low == "and":
            window: Sequence[Token] = self._words[max(0, index - 9) : index]
            if any(word.text.lower() == "between" for word in window):
                between = "second"
        return low, between
