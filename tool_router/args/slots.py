"""A schema as slots: one for every parameter, with all that helps to find its value.

Any schema is read: booleans, recursive references, unions, and invalid ones (what can't be read is a slot
that accepts anything).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from tool_router.args.hints import Hints, read_hints
from tool_router.args.meaning import Meaning, meaning_of
from tool_router.args.words import content_stems, split_identifier, stem

_PLACE = re.compile(r"\b(?:city|state|country|location|place)\b", re.IGNORECASE)
_MAX_DEPTH = 4
MAX_SLOTS = 600
"""Parameters of one object that are read; nobody has more, and a hostile schema may."""

Path = tuple[str, ...]


class _Nothing:
    """No value at all, because None is a value."""


NOTHING = _Nothing()


@dataclass(frozen=True, slots=True)
class Slot:
    """One parameter.

    Attributes:
        path: names from the top; the members of a list's items add ``[]``.
        words: its name in lower-case words; `stems` is the same, stemmed, function words included.
        about: stems of the words of its description that carry meaning.
        types: JSON types it accepts; empty accepts anything.
        default: the schema's default, or `NOTHING`.
        item: for an array, what its members are.
        children: for an object, its parameters.
    """

    path: Path
    name: str
    words: tuple[str, ...]
    stems: tuple[str, ...]
    description: str
    about: frozenset[str]
    types: frozenset[str]
    meaning: Meaning
    hints: Hints
    required: bool
    enum: tuple[Any, ...] = ()
    default: Any = NOTHING
    item: Slot | None = None
    children: tuple[Slot, ...] = ()
    schema: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def accepts(self, kind: str) -> bool:
        """Whether a JSON type is allowed; a slot without types allows all."""
        return not self.types or kind in self.types

    def only(self, kind: str) -> bool:
        """Whether a JSON type is the only one allowed, null aside."""
        return kind in self.types and self.types <= {kind, "null"}

    @property
    def numeric(self) -> bool:
        """Whether only numbers fit."""
        return bool(self.types) and self.types <= {"integer", "number", "null"}


def slots_of(schema: Mapping[str, Any] | bool) -> tuple[Slot, ...]:
    """The top-level parameters of a tool's input schema, in its order; none for ``true`` or ``false``."""
    if isinstance(schema, bool) or not isinstance(schema, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        return ()
    return _children(schema, schema, (), 0)


def _children(schema: Mapping[str, Any], root: Mapping[str, Any], path: Path, depth: int) -> tuple[Slot, ...]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return ()
    listed: Any = schema.get("required")
    required: set[Any] = (
        {name for name in cast(list[Any], listed) if isinstance(name, str)}
        if isinstance(listed, list)
        else set()
    )
    found: list[Slot] = []
    for name, sub in list(cast(Mapping[Any, Any], properties).items())[:MAX_SLOTS]:
        found.append(_slot(str(name), sub, root, path, name in required, depth))
    return tuple(found)


def _slot(name: str, raw: Any, root: Mapping[str, Any], path: Path, required: bool, depth: int) -> Slot:
    schema = resolve(raw, root)
    types = _types(schema)
    described = schema.get("description") or schema.get("title") or ""
    description = described if isinstance(described, str) else ""
    words = split_identifier(name)
    enum: Any = schema.get("enum")
    options: tuple[Any, ...] = tuple(cast(list[Any], enum)) if isinstance(enum, list) else ()
    if "const" in schema and not options:
        options = (schema["const"],)
    here = (*path, name)
    hints = read_hints(description)
    meaning = meaning_of(words, description, schema, types)
    if meaning is Meaning.OTHER and hints.pair and _PLACE.search(description):
        meaning = Meaning.PLACE
    item = None
    children: tuple[Slot, ...] = ()
    if depth < _MAX_DEPTH:
        if "array" in types and "items" in schema:
            item = _slot(name, schema["items"], root, (*here, "[]"), True, depth + 1)
        if "object" in types:
            children = _children(schema, root, here, depth + 1)
    return Slot(
        path=here,
        name=name,
        words=words,
        stems=tuple(stem(word) for word in words),
        description=description,
        about=content_stems(description[:600]),
        types=types,
        meaning=meaning,
        hints=hints,
        required=required,
        enum=options,
        default=schema.get("default", NOTHING),
        item=item,
        children=children,
        schema=schema,
    )


def resolve(raw: Any, root: Mapping[str, Any], hops: int = 8) -> Mapping[str, Any]:
    """A schema with its local reference followed and its union reduced to its first member but null."""
    if not isinstance(raw, Mapping):
        return {}
    schema = cast(Mapping[str, Any], raw)
    for _ in range(hops):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            target = _pointed(reference, root)
            schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
            continue
        union = _union(schema)
        if union is None:
            return schema
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "allOf")}
        schema = {**union, **rest}
    return {key: value for key, value in schema.items() if key != "$ref"}


def _pointed(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    if not reference.startswith("#"):
        return {}
    node: Any = root
    for part in reference[1:].strip("/").split("/"):
        if part:
            key = part.replace("~1", "/").replace("~0", "~")
            node = cast(Mapping[str, Any], node).get(key) if isinstance(node, Mapping) else None
    return cast(Mapping[str, Any], node) if isinstance(node, Mapping) else {}


def _union(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for key in ("anyOf", "oneOf", "allOf"):
        members: Any = schema.get(key)
        if not isinstance(members, list):
            continue
        usable = [
            cast(Mapping[str, Any], member)
            for member in cast(list[Any], members)
            if isinstance(member, Mapping) and cast(Mapping[str, Any], member).get("type") != "null"
        ]
        if not usable:
            continue
        if key == "allOf":
            merged: dict[str, Any] = {}
            for member in usable:
                merged.update(member)
            return merged
        plain = [member.get("type") for member in usable]
        if len(usable) > 1 and all(isinstance(name, str) and name != "object" for name in plain):
            return {**usable[0], "type": [*plain]}
        return usable[0]
    return None


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    declared: Any = schema.get("type")
    if isinstance(declared, str):
        return frozenset({declared})
    if isinstance(declared, list):
        return frozenset(name for name in cast(list[Any], declared) if isinstance(name, str))
    if "properties" in schema:
        return frozenset({"object"})
    if "items" in schema:
        return frozenset({"array"})
    return frozenset()
