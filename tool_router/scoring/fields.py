"""The texts of a tool that a task is compared with, whatever shape its schema has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from tool_router.catalog.model import Tool

MAX_CHARS = 4_000
"""Bound on each text of one tool; longer ones are manuals, and their end says little about the tool."""
MAX_NODES = 200
"""Bound on the schema nodes that are read: a recursive or huge schema costs no more than a large one."""
MAX_DEPTH = 6

_CHILDREN = ("items", "additionalProperties", "not")
_BRANCHES = ("anyOf", "oneOf", "allOf", "prefixItems")


@dataclass(frozen=True, slots=True)
class ToolTexts:
    """What a tool says about itself, by field.

    Attributes:
        parameters: names of its parameters, nested ones included.
        parameter_texts: their titles and descriptions.
        choices: enum members and constants.
    """

    name: str
    title: str
    server: str
    description: str
    parameters: str
    parameter_texts: str
    choices: str


def texts_of(tool: Tool) -> ToolTexts:
    """Read every field of a tool; anything that is not text where text belongs is left out."""
    names: list[str] = []
    texts: list[str] = []
    choices: list[str] = []
    _read_schema(tool.input_schema, names, texts, choices)
    return ToolTexts(
        name=_text(tool.name),
        title=_text(tool.title),
        server=_text(tool.server),
        description=_text(tool.description),
        parameters=" ".join(names)[:MAX_CHARS],
        parameter_texts="\n".join(texts)[:MAX_CHARS],
        choices=" ".join(choices)[:MAX_CHARS],
    )


def _text(value: object) -> str:
    return value[:MAX_CHARS] if isinstance(value, str) else ""


def _read_schema(root: object, names: list[str], texts: list[str], choices: list[str]) -> None:
    """Walk breadth-first, so that the bound on nodes cuts the deepest ones."""
    queue: list[tuple[object, int]] = [(root, 0)]
    for read, (node, depth) in enumerate(queue):
        if read >= MAX_NODES:
            return
        if not isinstance(node, Mapping) or depth > MAX_DEPTH:
            continue
        schema = cast("Mapping[object, object]", node)
        if depth:
            texts.extend(text for key in ("title", "description") if (text := _text(schema.get(key))))
        choices.extend(_choices(schema))
        queue.extend((child, depth + 1) for child in _children(schema, names))


def _choices(schema: Mapping[object, object]) -> list[str]:
    members = schema.get("enum")
    found = [schema.get("const"), *cast("list[object]", members if isinstance(members, list) else [])]
    return [member[:80] for member in found if isinstance(member, str)]


def _children(schema: Mapping[object, object], names: list[str]) -> list[object]:
    found: list[object] = []
    for key in ("properties", "$defs", "definitions"):
        members = schema.get(key)
        if not isinstance(members, Mapping):
            continue
        for name, child in cast("Mapping[object, object]", members).items():
            if key == "properties" and isinstance(name, str):
                names.append(name[:80])
            found.append(child)
    found.extend(schema.get(key) for key in _CHILDREN)
    for key in _BRANCHES:
        branches = schema.get(key)
        if isinstance(branches, list):
            found.extend(cast("list[object]", branches))
    return found
