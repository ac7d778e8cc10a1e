"""A span written as a slot wants it, with how well its form fits (0 to 1), or nothing when it can't be.

This judges form only (type, format, unit); what the words around say is added in fit.py.
"""

from __future__ import annotations

from typing import Any, cast

from tool_router.args.shape_number import number
from tool_router.args.shape_text import text
from tool_router.args.slots import Slot
from tool_router.args.span import Kind, Shaped, Span

_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})


def shape(span: Span, slot: Slot) -> Shaped | None:
    """Write a span as a slot wants it; None when its form does not fit at all."""
    value: Any = span.value
    if slot.numeric:
        return number(span, slot)
    if slot.only("array"):
        return _array(span, slot)
    if slot.only("object"):
        return Shaped(value, 0.7) if isinstance(value, dict) else None
    if slot.only("boolean"):
        return _boolean(span)
    if slot.accepts("string"):
        return text(span, slot)
    if span.kind is Kind.NUMBER and slot.types & {"integer", "number"}:
        return number(span, slot)
    return _array(span, slot) if slot.accepts("array") else None


def _boolean(span: Span) -> Shaped | None:
    word = str(span.value).lower()
    if span.key and word in _YES | _NO:
        return Shaped(word in _YES, 0.7)
    return None


def _array(span: Span, slot: Slot) -> Shaped | None:
    item = slot.item
    listed: Any = span.value
    if isinstance(listed, list):
        values = cast(list[Any], listed)
        if span.kind is Kind.LIST and item is not None:
            shaped = [shape(member, item) for member in span.items]
            if any(one is None for one in shaped):
                return None
            known = [one for one in shaped if one is not None]
            fit = 0.25 + sum(one.fit for one in known) / len(known)
            return Shaped([one.value for one in known], min(fit, 0.75))
        if item is not None and not _fits_items(values, item):
            return None
        return Shaped(values, 0.75)
    if item is None:
        return Shaped([span.value], 0.1) if span.kind in (Kind.QUOTED, Kind.NAME) else None
    single = shape(span, item)
    return None if single is None else Shaped([single.value], single.fit * 0.6, single.doubt)


def _fits_items(values: list[Any], item: Slot) -> bool:
    if item.numeric:
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if item.only("string"):
        return all(isinstance(value, str) for value in values)
    if item.only("array"):
        return all(isinstance(value, list) for value in values)
    if item.only("object"):
        return all(isinstance(value, dict) for value in values)
    return True
