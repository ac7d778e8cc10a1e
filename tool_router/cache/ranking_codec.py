"""Rankings as compact JSON and back: scores and ids, never a tool's text."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from tool_router.catalog.model import Tool
from tool_router.scoring.ranking import Candidate, Ranking, Rung


def _number(value: Any) -> float:
    if type(value) not in (float, int) or not math.isfinite(value):
        raise TypeError("not a finite number")
    return float(value)


def _number_or_none(value: Any) -> float | None:
    return None if value is None else _number(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "float": _number,
    "float | None": _number_or_none,
    "str": _text,
    "Rung": Rung,
}
"""How a field's value is read back, by its annotation."""


def _readers(kind: type, *left_out: str) -> dict[str, Callable[[Any], Any]]:
    """The fields of a dataclass that are written; a field of a type unknown here fails at import."""
    return {f.name: _READERS[str(f.type)] for f in fields(kind) if f.name not in left_out}


_CANDIDATE = _readers(Candidate, "tool")
# How long it took and where it came from are facts of one answer, not of the ranking.
_RANKING = _readers(Ranking, "candidates", "elapsed_ms", "cached")

LAYOUT = zlib.crc32(repr((list(_RANKING), list(_CANDIDATE))).encode())
"""Changes with the fields; bytes of another layout are another program's, and unreadable."""


def encode_ranking(ranking: Ranking) -> bytes | None:
    """Write a ranking as bytes; None when a score is not a finite number."""
    rows = [
        [candidate.tool.id, *(getattr(candidate, name) for name in _CANDIDATE)]
        for candidate in ranking.candidates
    ]
    facts = [getattr(ranking, name) for name in _RANKING]
    try:
        text = json.dumps([LAYOUT, facts, rows], allow_nan=False, separators=(",", ":"))
    except ValueError:
        return None
    return text.encode("ascii")


def decode_ranking(blob: bytes, tools: Mapping[str, Tool]) -> Ranking | None:
    """Read a ranking that `encode_ranking` wrote.

    Args:
        blob: the bytes; they may come from a shared server and are not trusted.
        tools: the catalog's tools by id.

    Returns:
        The ranking; None when the bytes are damaged, of another layout, or name a tool that is gone.
    """
    try:
        layout, facts, rows = json.loads(blob)
        if layout != LAYOUT:
            return None
        candidates = tuple(Candidate(tools[id_], **_read(_CANDIDATE, values)) for id_, *values in rows)
        return Ranking(candidates, **_read(_RANKING, facts))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _read(readers: Mapping[str, Callable[[Any], Any]], values: list[Any]) -> dict[str, Any]:
    return {name: read(value) for (name, read), value in zip(readers.items(), values, strict=True)}
