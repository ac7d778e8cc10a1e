"""What a catalog is: tools with stable ids, and an immutable set of them with a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

JsonSchema = Mapping[str, Any] | bool
"""A JSON Schema as the gateway gave it: an object, or the boolean schemas ``true`` / ``false``."""


class Availability(StrEnum):
    """Whether a listed tool can be called now."""

    AVAILABLE = "available"
    DISABLED = "disabled"
    UNREACHABLE = "unreachable"
    NEEDS = "needs"
    """Its service lacks something on this machine: a runtime, a key, a configuration value."""


@dataclass(frozen=True, slots=True)
class Hints:
    """A tool's MCP annotations; None where its server said nothing."""

    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool of the catalog.

    Attributes:
        id: unique in the catalog, ``server::name``; what users and results show.
        name: the tool's own name as its server calls it; real servers share bare names.
        call_name: what the gateway accepts in a call (differs from `name` behind ContextForge).
        server: the service the tool belongs to; empty when the gateway does not say.
        unavailable_reason: one sentence for people, empty while `availability` is AVAILABLE.
    """

    id: str
    name: str
    server: str = ""
    title: str = ""
    description: str = ""
    input_schema: JsonSchema = field(default_factory=dict[str, Any])
    hints: Hints = Hints()
    call_name: str = ""
    availability: Availability = Availability.AVAILABLE
    unavailable_reason: str = ""
    tags: tuple[str, ...] = ()

    @property
    def available(self) -> bool:
        """Whether the tool may be called now."""
        return self.availability is Availability.AVAILABLE


@dataclass(frozen=True)
class Catalog:
    """Every tool of one gateway at one moment.

    Attributes:
        tools: in the gateway's order; ids are unique.
        fetched_at: Unix time of the listing, 0.0 for an empty catalog that was never fetched.
        source: the gateway's key, so that a store keeps one catalog for each gateway.
    """

    tools: tuple[Tool, ...] = ()
    fetched_at: float = 0.0
    source: str = ""

    @cached_property
    def by_id(self) -> Mapping[str, Tool]:
        """Tools by their id."""
        return {tool.id: tool for tool in self.tools}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over what ranking and argument building read; equal catalogs have equal fingerprints."""
        digest = hashlib.sha256()
        for tool in self.tools:
            digest.update(text_fingerprint(tool).encode())
            reached = f"{tool.id}\0{tool.call_name}\0{tool.availability}\n"
            digest.update(reached.encode(errors="surrogatepass"))
        return digest.hexdigest()


def text_fingerprint(tool: Tool) -> str:
    """SHA-256 of what a tool says about itself (server, name, title, description, schema, hints)."""
    hints = tool.hints
    facts = [
        tool.server,
        tool.name,
        tool.title,
        tool.description,
        tool.input_schema,
        [hints.read_only, hints.destructive, hints.idempotent, hints.open_world],
    ]
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def tool_id(server: str, name: str) -> str:
    """The catalog id of a tool: ``server::name``, or the bare name when its server is not known."""
    return f"{server}::{name}" if server else name


def unique_ids(tools: Iterable[Tool]) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """Drop every tool whose id was seen before; return the kept tools and the dropped ids, in order."""
    kept: dict[str, Tool] = {}
    dropped: list[str] = []
    for tool in tools:
        if tool.id in kept:
            dropped.append(tool.id)
        else:
            kept[tool.id] = tool
    return tuple(kept.values()), tuple(dropped)
