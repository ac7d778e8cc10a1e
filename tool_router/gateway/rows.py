"""What gateways say of their tools, as Tools: ContextForge's REST rows and MCP's tools. Pure, and lenient.

A catalog is somebody else's data. A field of the wrong type counts as absent; only a row without a name is
dropped, because nothing can call it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tool_router.catalog.model import Availability, Hints, JsonSchema, Tool, tool_id
from tool_router.gateway.json_value import as_list, as_object, deeper_than

Row = Mapping[str, Any]

MAX_SCHEMA_DEPTH = 100
"""A schema nested more deeply is left out: whoever walks it (encoder, validator) would exhaust the stack."""


def contextforge_tool(row: object) -> Tool | None:
    """The tool of one row of ``GET /tools``; None when the row has no name to call it by."""
    fields = as_object(row)
    if fields is None:
        return None
    call_name = _text(fields, "name")
    if not call_name:
        return None
    name = _text(fields, "originalName") or call_name
    server = _server(fields)
    availability, reason = _availability(fields, call_name)
    return Tool(
        id=tool_id(server, name),
        name=name,
        server=server,
        title=_title(fields, name),
        description=_text(fields, "description") or _text(fields, "originalDescription"),
        input_schema=_schema(fields.get("inputSchema")),
        hints=_hints(fields.get("annotations")),
        call_name=call_name,
        availability=availability,
        unavailable_reason=reason,
        tags=_tags(fields.get("tags")),
    )


def mcp_tool(row: object, server: str) -> Tool | None:
    """The tool of one entry of ``tools/list``; None when it has no name."""
    fields = as_object(row)
    if fields is None:
        return None
    name = _text(fields, "name")
    if not name:
        return None
    annotations = as_object(fields.get("annotations")) or {}
    return Tool(
        id=tool_id(server, name),
        name=name,
        server=server,
        title=_text(fields, "title") or _text(annotations, "title"),
        description=_text(fields, "description"),
        input_schema=_schema(fields.get("inputSchema")),
        hints=_hints(annotations),
        call_name=name,
    )


def told_apart(tools: Iterable[Tool]) -> tuple[Tool, ...]:
    """The same tools, every one, with unique ids; those that share a call name can't be called.

    A tool whose id another one has is named after what the gateway calls it, and numbered where that is taken
    too. Of tools with one call name the gateway finds none, or an arbitrary one.
    """
    listed = tuple(tools)
    callers = Counter(tool.call_name for tool in listed if tool.available)
    ids: set[str] = set()
    result: list[Tool] = []
    for tool in listed:
        kept = tool
        if kept.id in ids:
            kept = replace(kept, id=_free_id(kept, ids))
        if kept.available and callers[kept.call_name] > 1:
            kept = replace(
                kept,
                availability=Availability.DISABLED,
                unavailable_reason=f"{callers[kept.call_name]} tools of the gateway are named "
                f"{kept.call_name!r}, so that it can't tell which is meant; rename all but one there.",
            )
        ids.add(kept.id)
        result.append(kept)
    return tuple(result)


def _free_id(tool: Tool, taken: set[str]) -> str:
    base = tool_id(tool.server, tool.call_name)
    candidate, number = base, 2
    while candidate in taken:
        candidate = f"{base}#{number}"
        number += 1
    return candidate


def _text(fields: Row, name: str) -> str:
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else ""


def _server(fields: Row) -> str:
    """The service behind a row: its MCP server's slug, else the host its requests go to."""
    if slug := _text(fields, "gatewaySlug"):
        return slug
    try:
        host = urlsplit(_text(fields, "url")).hostname
    except ValueError:
        host = None
    return host or _text(fields, "integrationType").lower()


def _title(fields: Row, name: str) -> str:
    """The name for people; a custom name that only repeats the tool's own name says nothing."""
    for key in ("title", "displayName", "customName"):
        title = _text(fields, key)
        if title and title != name:
            return title
    return ""


def _availability(fields: Row, call_name: str) -> tuple[Availability, str]:
    if fields.get("deprecated") is True:
        return (
            Availability.DISABLED,
            f"{call_name} is marked as deprecated in the gateway, which refuses its calls; use another tool.",
        )
    if fields.get("enabled") is False:
        return Availability.DISABLED, f"{call_name} is switched off in the gateway; switch it on there."
    if fields.get("reachable") is False:
        server = _text(fields, "gatewaySlug") or "its service"
        return (
            Availability.UNREACHABLE,
            f"The gateway can't reach {server}; start it, and the gateway's next health check finds it.",
        )
    return Availability.AVAILABLE, ""


def _schema(value: object) -> JsonSchema:
    """A schema as it came; anything that is none accepts everything, like the empty schema."""
    if isinstance(value, bool):
        return value
    fields = as_object(value)
    return {} if fields is None or deeper_than(MAX_SCHEMA_DEPTH, fields) else fields


def _hints(value: object) -> Hints:
    fields = as_object(value) or {}

    def hint(name: str) -> bool | None:
        given = fields.get(name)
        return given if isinstance(given, bool) else None

    return Hints(
        read_only=hint("readOnlyHint"),
        destructive=hint("destructiveHint"),
        idempotent=hint("idempotentHint"),
        open_world=hint("openWorldHint"),
    )


def _tags(value: object) -> tuple[str, ...]:
    """Labels; ContextForge gives ``{id, label}``, older releases strings."""
    found: list[str] = []
    for tag in as_list(value) or ():
        fields = as_object(tag) or {"label": tag}
        if label := _text(fields, "label") or _text(fields, "id"):
            found.append(label)
    return tuple(found)
