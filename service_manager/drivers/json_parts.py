"""Parts of JSON objects whose keys may be absent or null, as APIs written in Go leave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def part(value: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The object at the end of these keys; empty where there is none."""
    found: Mapping[str, Any] = value
    for key in keys:
        found = found.get(key) or {}
    return dict(found)


def parts(value: Mapping[str, Any], *keys: str) -> list[dict[str, Any]]:
    """The list of objects at the end of these keys; empty where there is none."""
    found: list[dict[str, Any]] = part(value, *keys[:-1]).get(keys[-1]) or []
    return found
