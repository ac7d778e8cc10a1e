"""Decoded JSON: values that can be encoded again, and narrowing them without trusting them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def decode(content: bytes) -> Any:
    """Decode JSON; NaN and infinities become null, lone surrogates question marks.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    value = json.loads(content, parse_constant=lambda _: None)
    if _SURROGATE.search(content) is None:
        return value
    return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def as_object(value: object) -> Mapping[str, Any] | None:
    """The value if it is a JSON object."""
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else None


def as_list(value: object) -> Sequence[object] | None:
    """The value if it is a JSON array."""
    return cast(Sequence[object], value) if isinstance(value, list) else None


def deeper_than(limit: int, value: object) -> bool:
    """Whether arrays and objects are nested more than `limit` deep."""
    level: list[object] = [value]
    for _ in range(limit):
        level = [child for item in level for child in _children(item) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _children(item: object) -> Sequence[object]:
    fields = as_object(item)
    return tuple(fields.values()) if fields is not None else as_list(item) or ()
