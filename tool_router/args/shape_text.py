"""A span as a string parameter wants it, by what the parameter means."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tool_router.args.meaning import Meaning
from tool_router.args.moments import written_duration, written_moment
from tool_router.args.slots import Slot
from tool_router.args.span import Kind, Shaped, Span
from tool_router.args.zones import zone_of

_CODE_WORDS = re.compile(
    r"\b(?:codes?|IATA|ICAO|ISO|tickers?|symbols?|abbreviat\w+|acronyms?|short form|shorten\w*)\b",
    re.IGNORECASE,
)
_PREFIXED = re.compile(r"\bformat(?:ted)?\b[^.]{0,40}['\"][a-z]+:[A-Za-z]")
_OR_NAME = re.compile(r"\bnames?\b", re.IGNORECASE)
_MAX_LENGTH = 4_000
"""Characters of a text value; a longer one is a document that was not written to be cut out of a task."""

_FITS: Mapping[Meaning, Mapping[Kind, float]] = {
    Meaning.DATE: {Kind.DATE: 0.65, Kind.QUOTED: 0.1},
    Meaning.TIME: {Kind.TIME: 0.65, Kind.QUOTED: 0.1, Kind.PHRASE: 0.05},
    Meaning.DATETIME: {Kind.DATETIME: 0.7, Kind.DATE: 0.4, Kind.TIME: 0.3},
    Meaning.DURATION: {Kind.DURATION: 0.6, Kind.NUMBER: 0.3, Kind.QUOTED: 0.2},
    Meaning.YEAR: {Kind.NUMBER: 0.5, Kind.QUOTED: 0.1},
    Meaning.URL: {Kind.URL: 0.75, Kind.IDENTIFIER: 0.2, Kind.QUOTED: 0.2, Kind.PATH: 0.1},
    Meaning.PATH: {Kind.PATH: 0.75, Kind.URL: 0.3, Kind.QUOTED: 0.35, Kind.IDENTIFIER: 0.15},
    Meaning.EMAIL: {Kind.EMAIL: 0.8, Kind.QUOTED: 0.1},
    Meaning.IDENTIFIER: {
        Kind.IDENTIFIER: 0.5, Kind.QUOTED: 0.48, Kind.NUMBER: 0.25, Kind.NAME: 0.15, Kind.PATH: 0.1,
        Kind.PHRASE: 0.02,
    },
    Meaning.PLACE: {Kind.NAME: 0.4, Kind.QUOTED: 0.36, Kind.PHRASE: 0.06, Kind.IDENTIFIER: 0.1,
    Kind.LIST: 0.2, Kind.PATH: 0.3},
    Meaning.PERSON: {Kind.NAME: 0.4, Kind.QUOTED: 0.42, Kind.PHRASE: 0.02, Kind.IDENTIFIER: 0.15},
    Meaning.TEXT: {Kind.QUOTED: 0.55, Kind.TEXT: 0.3, Kind.NAME: 0.05, Kind.PHRASE: 0.04,
    Kind.IDENTIFIER: 0.1},
    Meaning.QUERY: {Kind.QUOTED: 0.55, Kind.TEXT: 0.3, Kind.NAME: 0.2, Kind.PHRASE: 0.08,
    Kind.IDENTIFIER: 0.15},
    Meaning.LANGUAGE: {Kind.NAME: 0.3, Kind.QUOTED: 0.3},
    Meaning.CURRENCY: {Kind.NAME: 0.25, Kind.QUOTED: 0.3, Kind.PHRASE: 0.02},
    Meaning.UNIT: {Kind.PHRASE: 0.05, Kind.QUOTED: 0.3},
    Meaning.CODE: {Kind.CODE: 0.6, Kind.QUOTED: 0.5, Kind.PHRASE: 0.02},
    Meaning.REPO_OWNER: {Kind.QUOTED: 0.2},
    Meaning.REPO_NAME: {Kind.QUOTED: 0.2},
    Meaning.OTHER: {
        Kind.QUOTED: 0.42, Kind.NAME: 0.25, Kind.IDENTIFIER: 0.3, Kind.NUMBER: 0.05, Kind.PHRASE: 0.05,
        Kind.URL: 0.1,
        Kind.PATH: 0.3, Kind.EMAIL: 0.05, Kind.REPO: 0.2, Kind.DATE: 0.03, Kind.TIME: 0.03, Kind.CODE: 0.1,
    },
}  # fmt: skip


_NAME_FITS = {Kind.NAME: 0.42, Kind.IDENTIFIER: 0.35}
"""What fits a parameter that asks for the name of something."""
_FRAMED_TEXT = 0.5
_PLACE_PARTS = frozenset({"city", "country", "state", "county", "region", "province", "town", "district"})
_FREE = frozenset({Kind.NAME, Kind.PHRASE, Kind.QUOTED, Kind.TEXT})
_ZONED = frozenset({Kind.NAME, Kind.PHRASE, Kind.QUOTED, Kind.REPO, Kind.PATH})
_MOMENTS = frozenset({Kind.DATE, Kind.DATETIME, Kind.TIME})


def text(span: Span, slot: Slot) -> Shaped | None:
    """Write a span as a string parameter wants it; None when it can't be that."""
    if slot.enum:
        return _member(span, slot)
    if slot.meaning is Meaning.ZONE:
        zone = zone_of(str(span.value)) if span.kind in _ZONED else None
        return Shaped(zone, 0.8) if zone else None
    if slot.meaning is Meaning.PLACE:
        return _place(span, slot)
    if span.unit == "pair":
        return None
    if span.kind is Kind.REPO:
        return _repository(span, slot)
    fit = _fit(span, slot)
    if fit is None or len(span.text) > _MAX_LENGTH:
        return None
    value, doubt = _written(span, slot)
    if span.kind in (Kind.NAME, Kind.PHRASE) and _wants_code(slot, value):
        doubt = "the description asks for a code"
    elif span.kind in _FREE and _wants_prefix(slot, value):
        doubt = "the description shows a form of its own"
    return Shaped(value, fit, doubt) if value else None


def _fit(span: Span, slot: Slot) -> float | None:
    """How well a kind of span suits the meaning; None when it does not at all."""
    if span.kind is Kind.NUMBER and slot.meaning is Meaning.COUNT:
        return 0.3
    if span.kind is Kind.TEXT and span.unit == "framed":
        return _FRAMED_TEXT
    named = "name" in slot.words or "name" in slot.about
    if named and slot.meaning is Meaning.OTHER and span.kind in _NAME_FITS:
        return _NAME_FITS[span.kind]
    return _FITS.get(slot.meaning, _FITS[Meaning.OTHER]).get(span.kind)


def _written(span: Span, slot: Slot) -> tuple[str, str]:
    """(value, doubt) of a span as text; an empty value when it can't be written."""
    if span.kind in _MOMENTS:
        return written_moment(span, slot)
    if span.kind is Kind.NUMBER:
        return ("", "") if span.unit == "%" else (span.text.lstrip("$€£¥₹").strip(), "")
    if span.kind is Kind.DURATION and slot.meaning is Meaning.DURATION:
        return written_duration(span), ""
    if span.kind in (Kind.LIST, Kind.DURATION):
        return span.text, ""
    return str(span.value), ""


def _repository(span: Span, slot: Slot) -> Shaped | None:
    """``owner/name``, whole or the half the slot asks for."""
    if slot.meaning is Meaning.REPO_OWNER:
        return Shaped(span.text, 0.75) if span.unit == "owner" else None
    if slot.meaning is Meaning.REPO_NAME:
        return Shaped(span.text, {"": 0.6, "name": 0.7}.get(span.unit, 0.0)) if span.unit != "owner" else None
    if span.unit:
        return None
    return (
        Shaped(span.text, 0.5) if slot.meaning in (Meaning.PATH, Meaning.OTHER, Meaning.IDENTIFIER) else None
    )


def _wants_prefix(slot: Slot, value: str) -> bool:
    """Whether the description shows values like 'track:Name' and this one is not of that form."""
    return ":" not in value and _PREFIXED.search(slot.description) is not None


def _wants_code(slot: Slot, value: str) -> bool:
    """Whether the description asks for a code ("USD", "JFK") and the value is an ordinary name."""
    if value.isupper() and " " not in value:
        return False
    if slot.meaning is Meaning.CURRENCY:
        return True
    return _CODE_WORDS.search(slot.description) is not None and _OR_NAME.search(slot.description) is None


def _place(span: Span, slot: Slot) -> Shaped | None:
    """A place: one name, or "City, State" where that form is shown or no single part is asked for."""
    fit = _FITS[Meaning.PLACE].get(span.kind)
    if fit is None or span.kind is Kind.LIST:
        return None
    if span.unit == "pair":
        whole = slot.hints.pair or not _PLACE_PARTS & set(slot.words)
        return Shaped(span.text, 0.5 if whole else 0.1)
    doubt = "the description shows a longer form" if slot.hints.pair and "," not in span.text else ""
    if not doubt and _wants_code(slot, span.text):
        doubt = "the description asks for a code"
    return Shaped(str(span.value), fit, doubt)


def _member(span: Span, slot: Slot) -> Shaped | None:
    """A quotation that is a member of the enum, whatever its case."""
    word = str(span.value).lower()
    for member in slot.enum:
        if str(member).lower() == word:
            return Shaped(member, 0.8)
    return None
