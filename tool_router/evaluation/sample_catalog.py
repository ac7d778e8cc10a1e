"""A catalog of any size, made up but shaped like real ones: servers with a few related tools each."""

from __future__ import annotations

import json
from itertools import count, islice, product
from pathlib import Path
from typing import Any, cast

from tool_router.catalog.model import Tool, tool_id

_ACTIONS = (
    ("list", "Lists {things} of the account, newest first, page by page, with an optional filter."),
    ("get", "Returns one {thing} by its identifier, with every field, its owner and its history."),
    ("create", "Creates a {thing} from the given fields and returns its identifier."),
    ("update", "Changes the given fields of a {thing} and leaves the others as they are."),
    ("search", "Searches {things} by words in their title and body and ranks them by relevance."),
)
_THINGS = tuple("invoice ticket contact document deployment order article booking device campaign".split())


def sample_catalog(size: int) -> tuple[Tool, ...]:
    """Make this many tools; the same every time."""
    pairs = ((number, thing, action) for number in count(1) for thing, action in product(_THINGS, _ACTIONS))
    return tuple(
        _tool(f"{thing}-desk-{number}", thing, *action) for number, thing, action in islice(pairs, size)
    )


def read_catalog(file: Path) -> tuple[Tool, ...]:
    """Read the tools of a data set: one JSON object a line, with id, name, server, input_schema, ..."""
    rows = [cast("dict[str, Any]", json.loads(line)) for line in file.read_text("utf-8").splitlines() if line]
    return tuple(
        Tool(
            id=row["id"],
            name=row["name"],
            server=row.get("server", ""),
            description=row.get("description", ""),
            input_schema=row.get("input_schema") or {},
            call_name=row["name"],
        )
        for row in rows
    )


def _tool(server: str, thing: str, action: str, description: str) -> Tool:
    name = f"{action}_{thing}"
    schema = {
        "type": "object",
        "properties": {
            f"{thing}_id": {"type": "string", "description": f"Identifier of the {thing}."},
            "fields": {"type": "object", "description": "Field names and their values."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 500, "default": 50},
            "order": {"type": "string", "enum": ["newest", "oldest", "title"]},
        },
        "required": [f"{thing}_id"],
    }
    text = description.format(thing=thing, things=f"{thing}s")
    return Tool(tool_id(server, name), name, server, description=text, input_schema=schema, call_name=name)
