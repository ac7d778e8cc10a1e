"""Everything a text offers as a value: the spans of every kind, and its words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from tool_router.args.model import Source
from tool_router.args.span import Coverage, Kind, Span
from tool_router.args.spans_code import code_spans
from tool_router.args.spans_literal import literal_spans
from tool_router.args.spans_number import number_spans
from tool_router.args.spans_phrase import address_spans, list_spans, name_spans, phrase_spans, place_spans
from tool_router.args.spans_time import time_spans
from tool_router.args.words import Token, tokens

MAX_TEXT = 6_000
"""Characters of a text that are examined; a longer one is a document, and its command stands first."""
MAX_SPANS = 400

_KEY = re.compile(r"(?<![\w])([A-Za-z_][\w-]{0,60})\s*(?:=(?!=)|:(?=\s|[\"'\[{\d]))\s*(?=\S)")
_BARE = re.compile(r"[^\s,;)\]}]+")
_OPAQUE = frozenset(
    {
        Kind.QUOTED,
        Kind.URL,
        Kind.EMAIL,
        Kind.PATH,
        Kind.IDENTIFIER,
        Kind.DATE,
        Kind.TIME,
        Kind.REPO,
        Kind.DATETIME,
    }
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One text, read.

    Attributes:
        text: the part that was examined.
        truncated: whether more followed.
    """

    text: str
    source: Source
    words: tuple[Token, ...]
    spans: tuple[Span, ...]
    truncated: bool = False


def read(text: str, source: Source, now: datetime | None = None) -> Reading:
    """Read a text's first `MAX_TEXT` characters; `now` is what "tomorrow" is counted from."""
    examined = text[:MAX_TEXT]
    words = tokens(examined)
    literal = list(literal_spans(examined))
    moments = list(time_spans(examined, now))
    opaque = [(span.start, span.end) for span in (*literal, *moments) if span.kind in _OPAQUE]
    coined = {(s.start, s.end) for s in literal if s.kind is Kind.IDENTIFIER and s.text.isalpha()}
    taken = Coverage(len(examined), opaque)
    hard = Coverage(len(examined), (area for area in opaque if area not in coined))
    numbers = [span for span in number_spans(examined, words) if not taken.touches(span.start, span.end)]
    names = [span for span in name_spans(examined, words) if not hard.touches(span.start, span.end)]
    longer = Coverage(len(examined), ((name.start, name.end) for name in names if " " in name.text))
    literal = [s for s in literal if (s.start, s.end) not in coined or not longer.touches(s.start, s.end)]
    moments = _unquoted(literal, moments)
    code = list(code_spans(examined))
    solid = [*literal, *code, *moments, *numbers, *names]
    phrases = list(phrase_spans(examined, words, [s for s in solid if s.kind is not Kind.NAME]))
    spans = [*solid, *phrases]
    spans.extend(list_spans(examined, spans))
    spans.extend(place_spans(examined, names))
    spans.extend(address_spans(examined))
    spans = list(_with_keys(examined, spans))[:MAX_SPANS]
    placed = (
        tuple(replace(span, source=source) for span in spans) if source is not Source.TASK else tuple(spans)
    )
    return Reading(examined, source, words, placed, truncated=len(text) > MAX_TEXT)


def _unquoted(literal: list[Span], moments: list[Span]) -> list[Span]:
    """The moments that are not merely a part of a longer quotation."""
    quotations = [span for span in literal if span.kind is Kind.QUOTED]
    return [
        moment
        for moment in moments
        if not any(
            q.start <= moment.start and moment.end <= q.end and len(q.text) > len(moment.text) + 2
            for q in quotations
        )
    ]


def _with_keys(text: str, spans: list[Span]) -> Iterator[Span]:
    """Give every span that stands right after ``key=`` or ``key:`` its key; read a bare word there too."""
    keys = {match.end(): match for match in _KEY.finditer(text)}
    used: set[int] = set()
    for span in spans:
        match = keys.get(span.start) or keys.get(span.start - 1)
        if match is None or (match.end() < span.start and text[match.end()] not in "\"'“`([{"):
            yield span
            continue
        used.add(match.end())
        yield replace(span, key=match[1])
    for end, match in keys.items():
        if end in used or "=" not in match.group():
            continue
        bare = _BARE.match(text, end)
        if bare is not None:
            piece = bare.group()
            yield Span(Kind.PHRASE, end, bare.end(), piece, piece, key=match[1])
