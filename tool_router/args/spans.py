"""Everything a text offers as a value: the spans of every kind, and its words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from tool_router.args.model import Source
from tool_router.args.span import Kind, Span
from tool_router.args.spans_code import code_spans
from tool_router.args.spans_literal import literal_spans
from tool_router.args.spans_number import number_spans
from tool_router.args.spans_phrase import address_spans, list_spans, name_spans, phrase_spans, place_spans
from tool_router.args.spans_time import time_spans
from tool_router.args.words import Token, tokens

MAX_TEXT = 8_000
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
    opaque = sorted((span.start, span.end) for span in (*literal, *moments) if span.kind in _OPAQUE)
    numbers = [span for span in number_spans(examined, words) if not _within(opaque, span)]
    coined = {
        (span.start, span.end) for span in literal if span.kind is Kind.IDENTIFIER and span.text.isalpha()
    }
    hard = [area for area in opaque if area not in coined]
    names = [span for span in name_spans(examined, words) if not _within(hard, span)]
    literal = [
        span for span in literal if (span.start, span.end) not in coined or not _inside_longer(names, span)
    ]
    moments = [span for span in moments if not _quoted(literal, span)]
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


def _inside_longer(names: list[Span], span: Span) -> bool:
    """Whether a coined word (LeBron) is only a part of a longer name (LeBron James)."""
    return any(name.start <= span.start and span.end <= name.end and name.text != span.text for name in names)


def _within(areas: list[tuple[int, int]], span: Span) -> bool:
    return any(low < span.end and span.start < high for low, high in areas)


def _quoted(literal: list[Span], span: Span) -> bool:
    """Whether a moment is only a part of a longer quotation."""
    return any(
        other.kind is Kind.QUOTED
        and other.start <= span.start
        and span.end <= other.end
        and len(other.text) > len(span.text) + 2
        for other in literal
    )


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
