"""Whether a value that a model gave can be traced: to the task, to the context, or to the schema. Pure."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from tool_router.args.model import Source
from tool_router.args.shape import shape
from tool_router.args.slots import NOTHING, Slot
from tool_router.args.span import Kind, Span
from tool_router.args.spans import MAX_TEXT, Reading, read

LONGEST_VALUE = 4_000
"""Characters of one text value; a longer one is a document, not an argument."""

MOST_PARTS = 200
"""Members of a nested value that are checked; a value with more is refused."""

_LARGEST = 1e300
_MOMENTS = frozenset({Kind.DATE, Kind.TIME, Kind.DATETIME})
_SPACE = re.compile(r"\s+")
_DIGITS = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?![\w])")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-"})
_AROUND = " \t\r\n\"'`"


@dataclass(frozen=True, slots=True)
class Ground:
    """The texts that values may come from, read once.

    Attributes:
        readings: the task, then the context.
        plain: each text in the form in which texts are compared.
        now: the clock that relative dates are read by.
    """

    readings: tuple[Reading, ...]
    plain: tuple[str, ...]
    now: datetime | None


def texts_of(task: str, context: str, now: datetime | None) -> Ground:
    """Read task and context; of each the part that the extractor reads too."""
    readings = (read(task, Source.TASK, now), read(context, Source.CONTEXT, now))
    return Ground(readings, tuple(comparable(reading.text) for reading in readings), now)


def grounded(value: Any, slot: Slot, ground: Ground) -> str | None:
    """What a value was read from, verbatim where that can be told; None when it was made up.

    A member of an enum and the schema's default need no text: they give "". Of a list or an object every
    member must be grounded, and an object must have its required members.
    """
    parts = [0]
    return _grounded(value, slot, ground, parts)


def comparable(text: str) -> str:
    """A text without what does not matter: letter case, width, spacing, kinds of quotes and dashes."""
    folded = unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold()
    return _SPACE.sub(" ", folded).strip()


def _grounded(value: Any, slot: Slot | None, ground: Ground, parts: list[int]) -> str | None:
    parts[0] += 1
    if value is None or parts[0] > MOST_PARTS:
        return None
    if slot is not None and slot.enum:
        return "" if _is_one_of(value, slot.enum) else None
    if slot is not None and slot.default is not NOTHING and _is_one_of(value, (slot.default,)):
        return ""
    if isinstance(value, bool):
        # The text says "yes" or "private" where the schema says true: that is for the reader of flags.
        return _in_text(str(value), ground)
    if isinstance(value, int | float):
        return _number(value, slot, ground)
    if isinstance(value, str):
        return _text(value, slot, ground)
    if isinstance(value, list):
        return _members(cast("list[Any]", value), slot, ground, parts)
    if isinstance(value, Mapping):
        return _object(cast("Mapping[str, Any]", value), slot, ground, parts)
    return None


def _members(values: list[Any], slot: Slot | None, ground: Ground, parts: list[int]) -> str | None:
    found = [_grounded(value, slot.item if slot else None, ground, parts) for value in values]
    if not found or any(evidence is None for evidence in found):
        return None
    return next((evidence for evidence in found if evidence), "")


def _object(value: Mapping[str, Any], slot: Slot | None, ground: Ground, parts: list[int]) -> str | None:
    children = {child.name: child for child in slot.children} if slot else {}
    if not value or any(child.required and child.name not in value for child in children.values()):
        return None
    first = ""
    for name, member in value.items():
        # A name that the schema does not know is as much a claim about the text as a value is.
        if name not in children and _text(name, None, ground) is None:
            return None
        evidence = _grounded(member, children.get(name), ground, parts)
        if evidence is None:
            return None
        first = first or evidence
    return first


def _number(value: float, slot: Slot | None, ground: Ground) -> str | None:
    # Compared, not converted: an integer of a model may be too large for a float.
    if not abs(value) <= _LARGEST:
        return None
    for reading in ground.readings:
        for span in reading.spans:
            if span.kind is Kind.NUMBER and _same_number(span.value, value):
                return span.text
        for match in _DIGITS.finditer(reading.text):
            if _same_number(float(match.group().replace(",", "")), value):
                return match.group()
    return _shaped(value, slot, ground)


def _text(value: str, slot: Slot | None, ground: Ground) -> str | None:
    if len(value) > LONGEST_VALUE:
        return None
    found = _in_text(value, ground)
    if found is not None:
        return found
    moment = _moment(value, ground)
    return moment if moment is not None else _shaped(value, slot, ground)


def _in_text(value: str, ground: Ground) -> str | None:
    """The value as the texts hold it, as whole words."""
    wanted = comparable(value.strip(_AROUND))
    if not wanted:
        return None
    for text, reading in zip(ground.plain, ground.readings, strict=True):
        at = text.find(wanted)
        while at >= 0:
            if _stands_alone(text, at, at + len(wanted)):
                return _verbatim(value, reading.text) or wanted
            at = text.find(wanted, at + 1)
    return None


def _verbatim(value: str, text: str) -> str:
    """A value as a text spells it, apart from letter case and spacing; empty where it differs in more."""
    match = re.search(r"\s+".join(map(re.escape, value.split())), text, re.IGNORECASE)
    return match.group() if match else ""


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a stretch is no part of a longer word or number."""
    before = text[start - 1] if start else " "
    after = text[end] if end < len(text) else " "
    return not _joined(before, text[start]) and not _joined(text[end - 1], after)


def _joined(left: str, right: str) -> bool:
    """Whether two characters belong to one word; scripts that are written without spaces have no such."""
    if not (left.isalnum() and right.isalnum()):
        return False
    return "W" not in (unicodedata.east_asian_width(left), unicodedata.east_asian_width(right))


def _moment(value: str, ground: Ground) -> str | None:
    """Where the texts name the date or time that a value is, in whatever layout either has."""
    meant = {
        span.value
        for span in read(value[:MAX_TEXT], Source.TASK, ground.now).spans
        if span.kind in _MOMENTS and span.value and span.text.strip() == value.strip()
    }
    if not meant:
        return None
    for span in _spans(ground):
        if span.kind in _MOMENTS and span.value in meant:
            return span.text
    return None


def _shaped(value: Any, slot: Slot | None, ground: Ground) -> str | None:
    """Where the texts hold what the extractor itself would have written as this value."""
    if slot is None:
        return None
    for span in _spans(ground):
        shaped = shape(span, slot)
        if shaped is not None and type(shaped.value) is type(value) and shaped.value == value:
            return span.text
    return None


def _spans(ground: Ground) -> list[Span]:
    return [span for reading in ground.readings for span in reading.spans]


def _same_number(one: Any, other: float) -> bool:
    return isinstance(one, int | float) and math.isclose(one, other, rel_tol=1e-12, abs_tol=0.0)


def _is_one_of(value: Any, allowed: tuple[Any, ...]) -> bool:
    """Whether JSON calls them equal: ``1`` and ``true`` are not."""
    return any(value == member and isinstance(value, bool) is isinstance(member, bool) for member in allowed)
