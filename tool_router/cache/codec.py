"""Tools as bytes and back: compact JSON, compressed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from tool_router.catalog.model import Availability, Hints, Tool
from tool_router.errors import StoreError

_LEVEL = 1
"""zlib's fastest level: it already shrinks a catalog to about a sixth, and start-up pays for the rest."""


def encode_tools(tools: Sequence[Tool]) -> bytes:
    """Write tools as bytes.

    Raises:
        StoreError: a schema is no JSON, or nested too deeply.
    """
    try:
        # ASCII with escapes: a lone surrogate in a description survives the round trip.
        text = json.dumps([_row(tool) for tool in tools], separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"The catalog can't be written as JSON: {error}.") from error
    return zlib.compress(text.encode("ascii"), _LEVEL)


def decode_tools(blob: bytes) -> tuple[Tool, ...]:
    """Read tools that `encode_tools` wrote.

    Raises:
        StoreError: the bytes are damaged or of another shape.
    """
    try:
        return tuple(_tool(row) for row in json.loads(zlib.decompress(blob)))
    except (zlib.error, ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreError(f"The stored catalog can't be read: {error}.") from error


def _row(tool: Tool) -> list[Any]:
    hints = tool.hints
    return [
        tool.id,
        tool.name,
        tool.server,
        tool.title,
        tool.description,
        tool.input_schema,
        [hints.read_only, hints.destructive, hints.idempotent, hints.open_world],
        tool.call_name,
        tool.availability.value,
        tool.unavailable_reason,
        tool.tags,
    ]


def _tool(row: list[Any]) -> Tool:
    id_, name, server, title, description, schema, hints, call_name, availability, reason, tags = row
    return Tool(
        id=id_,
        name=name,
        server=server,
        title=title,
        description=description,
        input_schema=schema,
        hints=Hints(*hints),
        call_name=call_name,
        availability=Availability(availability),
        unavailable_reason=reason,
        tags=tuple(tags),
    )
