"""Tools of embedded services: as the lock has them, as a running service lists them; how they compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from mcp.types import Tool as WireTool

from service_manager.model import LockedTool
from tool_router.catalog.model import Availability, Hints, Tool, tool_id


def same_but_for_words(locked: Sequence[Tool], live: Sequence[Tool]) -> bool:
    """Whether a running service offers what the lock says, descriptions and titles aside.

    Some servers write the machine's time zone or the like into their descriptions.
    """
    return _facts(locked) == _facts(live)


def locked_tool(server: str, tool: LockedTool, reason: str) -> Tool:
    """A tool as the lock has it; `reason` says why its service can't run here, empty when it can."""
    return _tool(server, tool.name, tool.title, tool.description, tool.input_schema, tool.annotations, reason)


def live_tool(server: str, tool: WireTool) -> Tool:
    """A tool as its running service lists it."""
    notes = tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else {}
    title = tool.title or ""
    return _tool(server, tool.name, title, tool.description or "", tool.input_schema, notes, "")


def _tool(
    server: str,
    name: str,
    title: str,
    description: str,
    schema: Mapping[str, Any] | bool,
    notes: Mapping[str, Any],
    reason: str,
) -> Tool:
    return Tool(
        id=tool_id(server, name),
        name=name,
        server=server,
        title=title,
        description=description,
        input_schema=schema,
        hints=Hints(
            notes.get("readOnlyHint"),
            notes.get("destructiveHint"),
            notes.get("idempotentHint"),
            notes.get("openWorldHint"),
        ),
        call_name=name,
        availability=Availability.NEEDS if reason else Availability.AVAILABLE,
        unavailable_reason=reason,
    )


def _facts(tools: Sequence[Tool]) -> Mapping[str, Any]:
    return {tool.name: (_shape(tool.input_schema), tool.hints) for tool in tools}


def _shape(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        members = cast("Mapping[str, Any]", schema).items()
        return {
            key: _shape(value)
            for key, value in members
            if not (key in ("description", "title") and isinstance(value, str))
        }
    if isinstance(schema, Sequence) and not isinstance(schema, str):
        return [_shape(item) for item in cast("Sequence[Any]", schema)]
    return schema
