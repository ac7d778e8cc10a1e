"""The slot's own words at either end of a phrase are no part of its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tool_router.args.slots import Slot
from tool_router.args.span import Kind, Span
from tool_router.args.spans import Reading
from tool_router.args.words import Token


def trim(slot: Slot, span: Span, reading: Reading, words: Sequence[Token]) -> tuple[Span, float]:
    """(span without the slot's words, how far those name the slot).

    "low severity level" for ``severity_level`` is "low"; "UUID A-1" is "A-1" where the description speaks of
    a UUID.

    Args:
        slot: the slot the span may answer.
        span: a name or a phrase; any other kind comes back as it is.
        reading: where the span stands.
        words: the words of the reading that the span covers.
    """
    if span.unit == "pair" or span.kind not in (Kind.NAME, Kind.PHRASE):
        return span, 0.0
    if span.kind is Kind.NAME:
        return _unlabelled(slot, span, words, reading), 0.0
    own = {word for word in slot.stems if not word.isdigit()}
    first, last = 0, len(words)
    while last > first and words[last - 1].stem in own and not words[last - 1].text[0].isupper():
        last -= 1
    while first < last and words[first].stem in own:
        first += 1
    if first == last or (first == 0 and last == len(words)):
        return span, 0.0
    share = len({word.stem for word in (*words[:first], *words[last:])}) / max(len(own), 1)
    cut = _cut(span, reading, words[first].start, words[last - 1].end)
    return cut, min(1.0, 0.4 + 0.6 * share)


def _unlabelled(slot: Slot, span: Span, words: Sequence[Token], reading: Reading) -> Span:
    """A name without the acronym before it that only labels it."""
    first, labels = 0, slot.about | set(slot.stems)
    while first + 1 < len(words) and words[first].text.isupper() and words[first].stem in labels:
        first += 1
    return _cut(span, reading, words[first].start, span.end) if first else span


def _cut(span: Span, reading: Reading, start: int, end: int) -> Span:
    piece = reading.text[start:end]
    return replace(span, start=start, end=end, text=piece, value=piece)
