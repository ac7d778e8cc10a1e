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
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def as_list(value: object) -> Sequence[object] | None:
    """The value if it is a JSON array."""
    return cast(list[object], value) if isinstance(value, list) else None


def deeper_than(limit: int, value: object) -> bool:
    """Whether arrays and objects are nested more than `limit` deep."""
    level = [value]
    for _ in range(limit):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += cast(dict[str, object], item).values()
            elif isinstance(item, list):
                below += cast(list[object], item)
        if not below:
            return False
        level = below
    return any(isinstance(item, dict | list) for item in level)
