"""Values a schema names itself (enum members, examples, labelled codes) where the text mentions them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from rapidfuzz import fuzz

from tool_router.args.meaning import Meaning
from tool_router.args.negation import is_denied
from tool_router.args.slots import Slot
from tool_router.args.span import Kind, Span
from tool_router.args.spans import Reading
from tool_router.args.words import Token, is_function_word, split_identifier, stem, tokens

_FUZZY = 88.0
"""Least rapidfuzz ratio (0 to 100) at which two words of five letters or more count as the same word."""
_MAX_OPTIONS = 200


class Strength(IntEnum):
    """How surely an option is mentioned."""

    FUZZY = 1
    PART = 2
    STEM = 3
    EXACT = 4


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a slot, found in the text; `span.value` is the option as the schema writes it."""

    span: Span
    strength: Strength
    declared: bool
    """Whether the schema allows nothing but its options (an enum), or only named this one as an example."""


def choices(slot: Slot, reading: Reading) -> Iterator[Choice]:
    """Every option of a slot that a reading mentions."""
    for value, label, declared in _options(slot):
        words = _label_words(label)
        if not words:
            continue
        found = list(_mentions(words, reading, declared=declared))
        for first, last, strength in found:
            if is_denied(reading, first):
                continue
            start, end = reading.words[first].start, reading.words[last].end
            piece = reading.text[start:end]
            span = Span(Kind.PHRASE, start, end, piece, value, source=reading.source)
            yield Choice(span, strength, declared)


def _options(slot: Slot) -> Iterator[tuple[Any, str, bool]]:
    """(value, words that name it, declared) of every option."""
    if slot.enum:
        for member in slot.enum[:_MAX_OPTIONS]:
            if isinstance(member, str):
                yield member, member, True
        for value, label in slot.hints.labelled:
            matching = [member for member in slot.enum if str(member) == str(value)]
            if matching:
                yield matching[0], label, True
        return
    for value, label in slot.hints.labelled:
        if (isinstance(value, str) and not slot.numeric) or (
            not isinstance(value, str) and not slot.accepts("string")
        ):
            yield value, label, True
    if not slot.numeric and slot.accepts("string") and not _shows_pairs(slot):
        for example in (*slot.hints.examples, *slot.hints.named):
            yield example, example, False


def _shows_pairs(slot: Slot) -> bool:
    """Whether the examples are "City, State" pairs, whose halves are no examples."""
    return slot.hints.pair and slot.meaning is Meaning.PLACE


def _label_words(label: str) -> tuple[Token, ...]:
    words = tuple(word for word in tokens(label.replace("_", " ").replace("-", " ")) if word.is_word)
    if len(words) == 1 and not label.isupper():
        parts = split_identifier(words[0].text)
        if len(parts) > 1:
            words = tuple(Token(part, stem(part), 0, 0) for part in parts)
    return words[:6]


def _mentions(
    words: tuple[Token, ...], reading: Reading, *, declared: bool
) -> Iterator[tuple[int, int, Strength]]:
    """(first word, last word, strength) of every mention; inexact ones only of declared options."""
    only = words[0].text
    if len(words) == 1 and (len(only) < 2 or is_function_word(only)):
        if declared and only.isupper():
            same = (index for index, word in enumerate(reading.words) if word.text == only)
            yield from ((index, index, Strength.STEM) for index in same)
        return
    spoken = [(index, word) for index, word in enumerate(reading.words) if word.is_word]
    exact = list(_runs(words, spoken))
    yield from exact
    if exact or not declared:
        return
    if len(words) > 1:
        yield from _partly(words, spoken)
    elif len(only) >= 5:
        yield from _nearly(only.lower(), spoken)


def _runs(
    words: tuple[Token, ...], spoken: Sequence[tuple[int, Token]]
) -> Iterator[tuple[int, int, Strength]]:
    """Where all words of an option stand together."""
    texts, stems, size = [word.text.lower() for word in words], [word.stem for word in words], len(words)
    for at in range(len(spoken) - size + 1):
        if spoken[at][1].stem != stems[0]:
            continue
        window = spoken[at : at + size]
        if [word.stem for _, word in window] == stems:
            same = [word.text.lower() for _, word in window] == texts
            yield window[0][0], window[-1][0], Strength.EXACT if same else Strength.STEM


def _nearly(option: str, spoken: Sequence[tuple[int, Token]]) -> Iterator[tuple[int, int, Strength]]:
    """Where a word is spelt almost like the option, or is another form of it."""
    for index, word in spoken:
        low = word.text.lower()
        if len(low) >= 4 and low[0] == option[0]:
            kin = len(low) >= 5 and low.startswith(option[:5])
            if kin or fuzz.ratio(low, option) >= _FUZZY:
                yield index, index, Strength.FUZZY


def _partly(
    words: Sequence[Token], spoken: Sequence[tuple[int, Token]]
) -> Iterator[tuple[int, int, Strength]]:
    """The first telling word of a longer option, standing alone."""
    telling = [word.stem for word in words if not is_function_word(word.text) and len(word.text) > 2]
    for index, word in spoken:
        if telling and word.stem == telling[0]:
            yield index, index, Strength.PART
            return
