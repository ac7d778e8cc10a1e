"""A number as a numeric parameter wants it: whole or not, in its unit, a percentage or a fraction, a year."""

from __future__ import annotations

import re

from tool_router.args.meaning import Meaning
from tool_router.args.slots import Slot
from tool_router.args.span import Kind, Shaped, Span
from tool_router.args.units import convert, dimension, named_measure, same_compound

_NUMERIC_TEXT = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?$")
_FRACTION_WORDS = re.compile(r"\bdecimal|\bfraction|\b0\.\d+|between 0 and 1|from 0 to 1", re.IGNORECASE)
_PLAIN_FIT = 0.4
"""A number for a numeric parameter, with nothing known but that."""
_PERCENT_WORDS = re.compile(r"\bpercent|%", re.IGNORECASE)
_RATE_WORDS = frozenset(
    """rate return yield interest probability ratio growth inflation tax margin discount fraction
    proportion likelihood chance""".split()
) | {"interest", "probabil"}


def number(span: Span, slot: Slot) -> Shaped | None:
    """Write a span as a numeric parameter wants it; None when it is no number, or one that can't be meant."""
    whole = not slot.accepts("number") and bool(slot.types)
    if span.kind is Kind.QUOTED or span.kind is Kind.IDENTIFIER:
        if not _NUMERIC_TEXT.match(span.text) or len(span.text) > 30:
            return None
        value = float(span.text)
        if not value.is_integer():
            return None if whole else Shaped(value, 0.45)
        return Shaped(int(value) if "." not in span.text or whole else value, 0.45)
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
    """A number span for a numeric slot: as a year, or in the slot's unit and bounds."""
    if slot.meaning is Meaning.YEAR:
        return Shaped(span.value, 0.6) if _looks_like_a_year(span) else None
    value, fit, doubt = _in_unit(span, slot, whole=whole)
    if span.text.lower() in ("one", "first", "second"):
        fit -= 0.15
    if whole and not isinstance(value, int):
        if not value.is_integer():
            return None
        value = int(value)
    return Shaped(value, fit, doubt) if _within_bounds(value, slot) else None


def _looks_like_a_year(span: Span) -> bool:
    four = isinstance(span.value, int) and 1000 <= span.value <= 2999 and len(span.text) == 4
    return four and not span.unit.startswith("$")


def _within_bounds(value: float, slot: Slot) -> bool:
    least, most = slot.schema.get("minimum"), slot.schema.get("maximum")
    if isinstance(least, int | float) and value < least:
        return False
    return not (isinstance(most, int | float) and value > most)


def _in_unit(span: Span, slot: Slot, *, whole: bool) -> tuple[float, float, str]:
    """(value, fit, doubt) of a number, by the unit it carries and the one the slot wants."""
    value, unit = span.value, span.unit
    if unit == "%":
        value, doubt = _percentage(value, slot, whole=whole)
        return value, 0.45 + 0.1 * named_measure(slot.words, "%"), doubt
    if unit == "pi":
        return value, _PLAIN_FIT, "a multiple of pi"
    if unit == "th":
        return value, 0.3, ""
    if dimension(unit):
        fit, value, doubt = _dimensioned(value, unit, _unit_words(slot))
        return value, fit + 0.12 * named_measure(slot.words, unit) if fit < 0.5 else fit, doubt
    if unit and slot.meaning is Meaning.COUNT:
        return value, 0.42, ""
    return value, _PLAIN_FIT, ""


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
