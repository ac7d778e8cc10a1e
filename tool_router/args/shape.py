"""A span written as a slot wants it, with how well its form fits (0 to 1), or nothing when it can't be.

This judges form only (type, format, unit); what the words around say is added in fit.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tool_router.args.meaning import Meaning
from tool_router.args.slots import Slot
from tool_router.args.span import Kind, Span
from tool_router.args.spans_time import SECONDS
from tool_router.args.units import convert, dimension, named_measure, same_compound
from tool_router.args.zones import zone_of

_NUMERIC_TEXT = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?$")
_FRACTION_WORDS = re.compile(r"\bdecimal|\bfraction|\b0\.\d+|between 0 and 1|from 0 to 1", re.IGNORECASE)
_PERCENT_WORDS = re.compile(r"\bpercent|%", re.IGNORECASE)
_RATE_WORDS = frozenset(
    """rate return yield interest probability ratio growth inflation tax margin discount fraction proportion
    likelihood chance""".split()
) | {"interest", "probabil"}
_CODE_WORDS = re.compile(
    r"\b(?:codes?|IATA|ICAO|ISO|tickers?|symbols?|abbreviat\w+|acronyms?|short form|shorten\w*)\b",
    re.IGNORECASE,
)
_OR_NAME = re.compile(r"\bnames?\b", re.IGNORECASE)
_MAX_TEXT_VALUE = 4_000


@dataclass(frozen=True, slots=True)
class Shaped:
    """A value in the slot's own form; `doubt` says why the form itself is not sure, empty when it is."""

    value: Any
    fit: float
    doubt: str = ""


def shape(span: Span, slot: Slot) -> Shaped | None:
    """Write a span as a slot wants it; None when its form does not fit at all."""
    if slot.numeric:
        return _number(span, slot)
    if slot.types and slot.types <= {"array", "null"}:
        return _array(span, slot)
    if slot.types and slot.types <= {"object", "null"}:
        return Shaped(span.value, 0.7) if isinstance(span.value, dict) else None
    if slot.types and slot.types <= {"boolean", "null"}:
        return _boolean(span)
    if not slot.accepts("string"):
        if span.kind is Kind.NUMBER and slot.types & {"integer", "number"}:
            return _number(span, slot)
        return _array(span, slot) if slot.accepts("array") else None
    return _string(span, slot)


def _boolean(span: Span) -> Shaped | None:
    word = str(span.value).lower()
    if span.key and word in ("true", "false", "yes", "no", "on", "off", "1", "0"):
        return Shaped(word in ("true", "yes", "on", "1"), 0.7)
    return None


def _number(span: Span, slot: Slot) -> Shaped | None:
    whole = not slot.accepts("number") and bool(slot.types)
    if span.kind is Kind.QUOTED or span.kind is Kind.IDENTIFIER:
        if not _NUMERIC_TEXT.match(span.text) or len(span.text) > 30:
            return None
        number = float(span.text)
        if not number.is_integer():
            return None if whole else Shaped(number, 0.45)
        return Shaped(int(number) if "." not in span.text or whole else number, 0.45)
    if span.kind is Kind.DURATION and span.unit == "second":
        for word in _unit_words(slot):
            converted = convert(float(span.value), "second", word)
            if converted is not None:
                return Shaped(_as_number(converted, whole=whole), 0.6)
        return None
    if span.kind is Kind.DATE and slot.meaning is Meaning.YEAR and span.value:
        return Shaped(int(span.value[:4]), 0.25)
    if span.kind is not Kind.NUMBER:
        return None
    return _measured(span, slot, whole=whole)


def _measured(span: Span, slot: Slot, *, whole: bool) -> Shaped | None:
    """A number span for a numeric slot: year, percentage, unit."""
    value, fit, doubt = span.value, 0.4, ""
    looks_year = (
        isinstance(value, int)
        and 1000 <= value <= 2999
        and len(span.text) == 4
        and not span.unit.startswith("$")
    )
    if slot.meaning is Meaning.YEAR:
        if not looks_year:
            return None
        return Shaped(value, 0.6)
    unit, wanted = span.unit, _unit_words(slot)
    if unit == "%":
        value, doubt = _percentage(value, slot, whole=whole)
        fit = 0.45 + 0.1 * named_measure(slot.words, "%")
    elif unit == "pi":
        doubt = "a multiple of pi"
    elif unit == "th":
        fit = 0.3
    elif unit and dimension(unit):
        fit, value, doubt = _dimensioned(value, unit, wanted)
        if fit < 0.5:
            fit += 0.12 * named_measure(slot.words, unit)
    elif unit and slot.meaning is Meaning.COUNT:
        fit = 0.42
    if span.text.lower() in ("one", "first", "second"):
        fit -= 0.15
    if not isinstance(value, int) and whole:
        if not float(value).is_integer():
            return None
        value = int(value)
    minimum, maximum = slot.schema.get("minimum"), slot.schema.get("maximum")
    if (isinstance(minimum, int | float) and value < minimum) or (
        isinstance(maximum, int | float) and value > maximum
    ):
        return None
    return Shaped(value, fit, doubt)


def _percentage(value: float, slot: Slot, *, whole: bool) -> tuple[float, str]:
    """5% as 5 or as 0.05, by what the description says, else by whether the parameter is a rate."""
    if _FRACTION_WORDS.search(slot.description):
        return round(value / 100, 12), ""
    if whole or _PERCENT_WORDS.search(f"{slot.name} {slot.description}"):
        return value, ""
    if _RATE_WORDS.intersection(slot.words) or _RATE_WORDS.intersection(slot.about):
        return round(value / 100, 12), ""
    return value, f"{value}% may be meant as a fraction"


def _dimensioned(value: float, unit: str, wanted: tuple[str, ...]) -> tuple[float, float, str]:
    """(fit, value, doubt) of a number with a unit of measure, given the units the slot speaks of."""
    kind = dimension(unit)
    goals = [word for word in wanted if dimension(word)]
    if not goals:
        return 0.4, value, ""
    for goal in goals:
        if dimension(goal) == kind:
            if kind == "compound" and not same_compound(unit, goal):
                continue
            if kind in ("compound", "money", "percent") or goal.removesuffix("s") == unit.removesuffix("s"):
                return 0.6, value, ""
            converted = convert(value, unit, goal)
            if converted is not None:
                same = isinstance(value, int) and converted.is_integer()
                return 0.6, int(converted) if same else converted, ""
    families = {dimension(goal).split(" ")[0] for goal in goals}
    if kind.split(" ")[0] in families or {kind, *families} <= {"time", "calendar"}:
        return 0.4, value, f"{value} {unit} may need converting"
    return 0.12, value, ""


def _unit_words(slot: Slot) -> tuple[str, ...]:
    """Units the slot's name and description speak of, the name's first."""
    named = [word for word in slot.words if len(word) > 1 and dimension(word)]
    said: list[str] = []
    for phrase in slot.hints.units:
        if dimension(phrase):
            said.append(phrase)
        else:
            said.extend(word for word in phrase.split()[:3] if dimension(word) and len(word) > 1)
    return (*named, *said)


def _as_number(value: float, *, whole: bool) -> int | float:
    return int(value) if whole or float(value).is_integer() else value


def _array(span: Span, slot: Slot) -> Shaped | None:
    item = slot.item
    if isinstance(span.value, list):
        if span.kind is Kind.LIST and item is not None:
            shaped = [shape(member, item) for member in span.items]
            if any(one is None for one in shaped):
                return None
            known = [one for one in shaped if one is not None]
            fit = 0.25 + sum(one.fit for one in known) / len(known)
            return Shaped([one.value for one in known], min(fit, 0.75))
        if item is not None and not _fits_items(span.value, item):
            return None
        return Shaped(span.value, 0.75)
    if item is None:
        return Shaped([span.value], 0.1) if span.kind in (Kind.QUOTED, Kind.NAME) else None
    single = shape(span, item)
    return None if single is None else Shaped([single.value], single.fit * 0.6, single.doubt)


def _fits_items(values: list[Any], item: Slot) -> bool:
    if item.numeric:
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if item.types == {"string"}:
        return all(isinstance(value, str) for value in values)
    if item.types == {"array"}:
        return all(isinstance(value, list) for value in values)
    if item.types == {"object"}:
        return all(isinstance(value, dict) for value in values)
    return True


_FITS: dict[Meaning, dict[Kind, float]] = {
    Meaning.DATE: {Kind.DATE: 0.65, Kind.QUOTED: 0.1},
    Meaning.TIME: {Kind.TIME: 0.65, Kind.QUOTED: 0.1, Kind.PHRASE: 0.05},
    Meaning.DATETIME: {Kind.DATETIME: 0.7, Kind.DATE: 0.4, Kind.TIME: 0.3},
    Meaning.DURATION: {Kind.DURATION: 0.6, Kind.NUMBER: 0.3, Kind.QUOTED: 0.2},
    Meaning.YEAR: {Kind.NUMBER: 0.5, Kind.QUOTED: 0.1},
    Meaning.URL: {Kind.URL: 0.75, Kind.IDENTIFIER: 0.2, Kind.QUOTED: 0.2, Kind.PATH: 0.1},
    Meaning.PATH: {Kind.PATH: 0.75, Kind.URL: 0.3, Kind.QUOTED: 0.35, Kind.IDENTIFIER: 0.15},
    Meaning.EMAIL: {Kind.EMAIL: 0.8, Kind.QUOTED: 0.1},
    Meaning.IDENTIFIER: {
        Kind.IDENTIFIER: 0.5, Kind.QUOTED: 0.48, Kind.NUMBER: 0.25, Kind.NAME: 0.15, Kind.PATH: 0.1, Kind.PHRASE: 0.02,
    },
    Meaning.PLACE: {Kind.NAME: 0.4, Kind.QUOTED: 0.36, Kind.PHRASE: 0.06, Kind.IDENTIFIER: 0.1, Kind.LIST: 0.2, Kind.PATH: 0.3},
    Meaning.PERSON: {Kind.NAME: 0.4, Kind.QUOTED: 0.42, Kind.PHRASE: 0.02, Kind.IDENTIFIER: 0.15},
    Meaning.TEXT: {Kind.QUOTED: 0.55, Kind.TEXT: 0.3, Kind.NAME: 0.05, Kind.PHRASE: 0.04, Kind.IDENTIFIER: 0.1},
    Meaning.QUERY: {Kind.QUOTED: 0.55, Kind.TEXT: 0.3, Kind.NAME: 0.2, Kind.PHRASE: 0.08, Kind.IDENTIFIER: 0.15},
    Meaning.LANGUAGE: {Kind.NAME: 0.3, Kind.QUOTED: 0.3},
    Meaning.CURRENCY: {Kind.NAME: 0.25, Kind.QUOTED: 0.3, Kind.PHRASE: 0.02},
    Meaning.UNIT: {Kind.PHRASE: 0.05, Kind.QUOTED: 0.3},
    Meaning.CODE: {Kind.CODE: 0.6, Kind.QUOTED: 0.5, Kind.PHRASE: 0.02},
    Meaning.REPO_OWNER: {Kind.QUOTED: 0.2},
    Meaning.REPO_NAME: {Kind.QUOTED: 0.2},
    Meaning.OTHER: {
        Kind.QUOTED: 0.42, Kind.NAME: 0.25, Kind.IDENTIFIER: 0.3, Kind.NUMBER: 0.05, Kind.PHRASE: 0.05, Kind.URL: 0.1,
        Kind.PATH: 0.3, Kind.EMAIL: 0.05, Kind.REPO: 0.2, Kind.DATE: 0.03, Kind.TIME: 0.03, Kind.CODE: 0.1,
    },
}  # fmt: skip


def _string(span: Span, slot: Slot) -> Shaped | None:
    if slot.enum:
        return _member(span, slot)
    if slot.meaning is Meaning.ZONE:
        zone = (
            zone_of(str(span.value))
            if span.kind in (Kind.NAME, Kind.PHRASE, Kind.QUOTED, Kind.REPO, Kind.PATH)
            else None
        )
        return Shaped(zone, 0.8) if zone else None
    if slot.meaning is Meaning.PLACE:
        return _place(span, slot)
    if span.unit == "pair":
        return None
    if slot.meaning is Meaning.COUNT and span.kind is Kind.NUMBER:
        return Shaped(span.text, 0.3)
    if span.kind is Kind.REPO:
        return _repository(span, slot)
    table = _FITS.get(slot.meaning, _FITS[Meaning.OTHER])
    fit = table.get(span.kind)
    if (
        slot.meaning is Meaning.OTHER
        and span.kind in _NAME_FITS
        and ("name" in slot.words or "name" in slot.about)
    ):
        fit = _NAME_FITS[span.kind]
    if span.kind is Kind.TEXT and span.unit == "framed":
        fit = 0.5
    if fit is None or len(span.text) > _MAX_TEXT_VALUE:
        return None
    value: Any = span.value
    doubt = ""
    if span.kind in (Kind.DATE, Kind.DATETIME, Kind.TIME):
        value, doubt = _moment(span, slot)
        if not value:
            return None
    elif span.kind is Kind.NUMBER:
        if span.unit == "%":
            return None
        value = span.text.lstrip("$€£¥₹").strip()
    elif span.kind is Kind.DURATION:
        value = _duration(span) if slot.meaning is Meaning.DURATION else span.text
    elif span.kind is Kind.LIST:
        value = span.text
    if span.kind in (Kind.NAME, Kind.PHRASE) and _wants_code(slot, str(value)):
        doubt = "the description asks for a code"
    return Shaped(str(value), fit, doubt) if value else None


def _repository(span: Span, slot: Slot) -> Shaped | None:
    """``owner/name``, whole or the half the slot asks for; the binder takes the halves when both are wanted."""
    if slot.meaning is Meaning.REPO_OWNER:
        return Shaped(span.text, 0.75) if span.unit == "owner" else None
    if slot.meaning is Meaning.REPO_NAME:
        return Shaped(span.text, {"": 0.6, "name": 0.7}.get(span.unit, 0.0)) if span.unit != "owner" else None
    if span.unit:
        return None
    return (
        Shaped(span.text, 0.5) if slot.meaning in (Meaning.PATH, Meaning.OTHER, Meaning.IDENTIFIER) else None
    )


def _wants_code(slot: Slot, value: str) -> bool:
    """Whether the description asks for a code ("USD", "JFK") and the value is an ordinary name."""
    if value.isupper() and " " not in value:
        return False
    if slot.meaning is Meaning.CURRENCY:
        return True
    return _CODE_WORDS.search(slot.description) is not None and _OR_NAME.search(slot.description) is None


_NAME_FITS = {Kind.NAME: 0.42, Kind.IDENTIFIER: 0.25}
"""What fits a parameter that asks for the name of something."""
_PLACE_PARTS = frozenset({"city", "country", "state", "county", "region", "province", "town", "district"})


def _place(span: Span, slot: Slot) -> Shaped | None:
    """A place: one name, or "City, State" where the description shows that form or asks for no single part."""
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


def _duration(span: Span) -> str:
    """ISO 8601, unless the text already is."""
    if span.unit == "iso":
        return str(span.value)
    left, parts = int(span.value), ""
    for unit, letter in (("hour", "H"), ("minute", "M"), ("second", "S")):
        count, left = divmod(left, SECONDS[unit])
        parts += f"{count}{letter}" if count else ""
    return f"PT{parts}"


def _moment(span: Span, slot: Slot) -> tuple[str, str]:
    """A date or time in the layout the description asks for, and a doubt where it could be read two ways."""
    value = str(span.value)
    doubt = f"{span.text!r} can be read day first or month first" if span.unit == "ambiguous" else ""
    layout = slot.hints.date_format
    if span.kind is Kind.DATE and not value:
        return ("", "") if layout or slot.meaning in (Meaning.DATE, Meaning.DATETIME) else (span.text, "")
    if span.kind is Kind.DATE and len(value) == 7 and slot.meaning is Meaning.DATE:
        return value, f"{span.text!r} names no day"
    day, _, hour = value.partition("T")
    if layout and len(day) == 10 and span.kind is not Kind.TIME:
        return _laid_out(layout, day, hour), doubt or (
            "no time of day is given" if "HH" in layout and not hour else ""
        )
    return (f"{day}T{hour}" if hour else day), doubt


def _laid_out(layout: str, day: str, hour: str) -> str:
    """A moment in a layout like ``DD/MM/YYYY HH:MM``; ISO 8601 when the layout can't be followed."""
    at = layout.find("HH")
    date_part, clock_part = (layout, "") if at < 0 else (layout[:at], layout[at:])
    year, month, date = day.split("-")
    written = date_part.replace("YYYY", year).replace("YY", year[2:]).replace("MM", month).replace("DD", date)
    if any(char in "MDY" for char in written):
        return f"{day}T{hour}" if hour else day
    if not clock_part or not hour:
        return written.rstrip(" T'")
    seconds = hour if hour.count(":") == 2 else f"{hour}:00"
    return (
        written.replace("'", "")
        + (seconds if "SS" in clock_part else hour[:5])
        + ("Z" if clock_part.endswith("Z") else "")
    )
