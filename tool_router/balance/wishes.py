"""What a call wishes of its target: from the settings of its tool, and from the caller's context. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

from tool_router.balance.requirements import CallRequest, Requirements
from tool_router.catalog.model import Tool
from tool_router.config_balance import BalanceSettings, WishSettings

KEY = "requirements"
"""A JSON object in the context that has this key says what the call requires, e.g.
``{"requirements": {"max_latency_ms": 500, "preferred": ["eu-1"]}}``."""

READ_CHARS = 20_000
MOST_OBJECTS = 20
"""Opening braces that are tried; a context is a text that somebody wrote, or a document."""

_PLAIN = WishSettings()


class Wishes:
    """Says what calls wish.

    Args:
        balance: the wishes of each tool, and where this router is.
    """

    def __init__(self, balance: BalanceSettings) -> None:
        self._tools = balance.tools
        self._region = balance.region

    def of(self, tool: Tool, category: str, context: str) -> CallRequest:
        """What a call of a tool wishes; what the context says counts before the settings.

        Args:
            tool: what is called.
            category: of the task.
            context: the request's context; what can't be understood there is left out.
        """
        wish = self._tools.get(tool.id) or self._tools.get(f"{tool.server}::*") or _PLAIN
        said = stated(context)
        return CallRequest(
            category,
            wish.region or self._region,
            "",
            wish.labels,
            Requirements(
                _number(said.get("max_latency_ms"), 0, math.inf) or wish.max_latency_ms,
                _number(said.get("min_quality"), 0, 1) or wish.min_quality,
                _number(said.get("min_reliability"), 0, 1) or wish.min_reliability,
                _names(said.get("preferred")) or wish.preferred,
                _number(said.get("urgency"), 0, 1) or wish.urgency,
            ),
        )


def stated(context: str) -> Mapping[str, Any]:
    """The requirements that a context states; empty without any."""
    if KEY not in context:
        return {}
    for found in _objects(context[:READ_CHARS]):
        inner = found.get(KEY)
        if isinstance(inner, dict):
            return cast("Mapping[str, Any]", inner)
    return {}


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    decoder = json.JSONDecoder()
    at = text.find("{")
    for _ in range(MOST_OBJECTS):
        if at < 0:
            return
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if isinstance(found, dict):
                yield cast("Mapping[str, Any]", found)
        at = text.find("{", end)


def _number(value: object, least: float, most: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if least < value <= most and math.isfinite(value) else None


def _names(value: object) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset({value})
    if not isinstance(value, list):
        return frozenset()
    return frozenset(name for name in cast("list[object]", value) if isinstance(name, str))
