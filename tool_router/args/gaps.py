"""What a draft lacks, as slots that can be asked for one by one. Pure."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tool_router.args.model import Draft
from tool_router.args.slots import Slot, slots_of
from tool_router.catalog.model import JsonSchema, Tool

_INNER = re.compile(r"(?P<parameter>.+?)(?P<listed>\[0\])?\.(?P<member>[^.\[\]]+)")
_DEFINITIONS = ("$defs", "definitions")


@dataclass(frozen=True, slots=True)
class Gap:
    """A required value that is missing.

    Attributes:
        name: as the draft lists it: a parameter, or ``entities[0].entityType``.
        parameter: the top-level parameter it belongs to.
        member: the member of that parameter's object; empty when the parameter itself is missing.
        listed: whether that object is the first of a list.
    """

    name: str
    parameter: str
    slot: Slot
    member: str = ""
    listed: bool = False


def gaps_of(draft: Draft, tool: Tool) -> tuple[Gap, ...]:
    """The missing values of a draft that the tool's schema describes, in the draft's order."""
    slots = {slot.name: slot for slot in slots_of(tool.input_schema)}
    found: list[Gap] = []
    for name in draft.missing:
        if name in slots:
            found.append(Gap(name, name, slots[name]))
            continue
        match = _INNER.fullmatch(name)
        outer = slots.get(match["parameter"]) if match else None
        if match is None or outer is None:
            continue
        listed = match["listed"] is not None
        members = (outer.item.children if outer.item else ()) if listed else outer.children
        member = next((member for member in members if member.name == match["member"]), None)
        if member is not None and outer.name in draft.values:
            found.append(Gap(name, outer.name, member, member.name, listed))
    return tuple(found)


def schema_of(gaps: Sequence[Gap], root: JsonSchema) -> dict[str, Any]:
    """The JSON Schema of an answer that gives every gap its value, or null where the text has none."""
    properties: dict[str, Any] = {}
    for gap in gaps:
        sub = {key: value for key, value in gap.slot.schema.items() if key != "default"}
        properties[gap.name] = {"anyOf": [sub, {"type": "null"}]}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    if isinstance(root, Mapping) and '"$ref"' in json.dumps(properties, default=str):
        schema |= {key: root[key] for key in _DEFINITIONS if key in root}
    return schema


def with_value(draft: Draft, gap: Gap, value: Any) -> Any:
    """The whole value of the gap's parameter, once the gap is filled; the draft's own stays as it is."""
    if not gap.member:
        return value
    whole = copy.deepcopy(draft.values[gap.parameter].value)
    inner = cast("list[Any]", whole)[0] if gap.listed else whole
    cast("dict[str, Any]", inner)[gap.member] = value
    return whole
