"""A value in the type a schema wants, when that loses nothing: "5" is 5, one string is a list of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from tool_router.args.slots import Slot

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def coerce(value: Any, slot: Slot) -> Any:
    """The value as the slot wants it; unchanged when it already fits or can't be made to without a guess."""
    return _coerced(value, slot, 0)


def _coerced(value: Any, slot: Slot, depth: int) -> Any:
    if depth > 8:
        return value
    if slot.enum:
        return _member(value, slot.enum)
    if isinstance(value, str) and not slot.accepts("string"):
        value = _from_text(value, slot)
    elif (
        isinstance(value, float)
        and value.is_integer()
        and "integer" in slot.types
        and "number" not in slot.types
    ):
        value = int(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and slot.only("string"):
        value = str(value)
    if slot.types and slot.accepts("array") and not isinstance(value, list) and not _allowed(value, slot):
        value = [value]
    if isinstance(value, list) and slot.item is not None:
        item = slot.item
        return [_coerced(one, item, depth + 1) for one in cast(list[Any], value)]
    if isinstance(value, Mapping) and slot.children:
        known = {child.name: child for child in slot.children}
        given = cast(Mapping[str, Any], value)
        return {k: _coerced(v, known[k], depth + 1) if k in known else v for k, v in given.items()}
    return cast(Any, value)


def _allowed(value: Any, slot: Slot) -> bool:
    if value is None:
        return "null" in slot.types
    if isinstance(value, bool):
        return "boolean" in slot.types
    if isinstance(value, int | float):
        return bool(slot.types & {"integer", "number"})
    return ("string" if isinstance(value, str) else "object") in slot.types


def _from_text(text: str, slot: Slot) -> Any:
    stripped = text.strip()
    low = stripped.lower()
    if "boolean" in slot.types and low in _TRUE | _FALSE:
        return low in _TRUE
    if slot.types & {"integer", "number"} and len(stripped) < 40:
        number = _number(stripped.replace(",", ""))
        if number is not None and ("number" in slot.types or isinstance(number, int)):
            return number
    if slot.types & {"array", "object"} and stripped[:1] in ("[", "{"):
        try:
            return json.loads(stripped)
        except (ValueError, RecursionError):
            return text
    if "null" in slot.types and low == "null":
        return None
    return text


def _number(text: str) -> int | float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if value != value or value in (float("inf"), float("-inf")):
        return None
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _member(value: Any, enum: tuple[Any, ...]) -> Any:
    if value in enum:
        return value
    word = str(value).strip().lower().replace("-", "_").replace(" ", "_")
    for member in enum:
        if str(member).lower().replace("-", "_").replace(" ", "_") == word:
            return member
    return value
