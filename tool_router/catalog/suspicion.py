"""What is suspicious about a tool's own words, and which tools changed theirs since they were accepted.

A tool's description is read by a model, so its author can try to give that model orders ("tool poisoning"),
or be harmless at first and change it later ("rug pull"); both terms are from Invariant Labs, "MCP Security
Notification: Tool Poisoning Attacks", 2025. Findings are for a person to judge: a pin is the fingerprint of
words that are taken as they are, because nothing about them was suspicious or because a person accepted them.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from tool_router.catalog.model import Catalog, Tool, text_fingerprint
from tool_router.catalog.untrusted import hidden_characters, plain


class Concern(StrEnum):
    """Why a tool is flagged."""

    HIDDEN_CHARACTERS = "hidden_characters"
    INSTRUCTIONS = "instructions"
    CHANGED = "changed"

    @property
    def in_words(self) -> str:
        """A clause about the tool, with a place for the evidence."""
        return _IN_WORDS[self]


_IN_WORDS = {
    Concern.HIDDEN_CHARACTERS: "its words hide characters ({evidence})",
    Concern.INSTRUCTIONS: "its words give a model orders (\u201c{evidence}\u201d)",
    Concern.CHANGED: "{evidence}",
}


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One finding: which tool, why, and the words or characters it rests on, fit to be shown."""

    tool_id: str
    concern: Concern
    evidence: str


@dataclass(frozen=True, slots=True)
class Words:
    """What can be said of the tools of a catalog without their pins, by tool id.

    Attributes:
        fingerprints: of every tool.
        concerns: what is suspicious in its words; tools without any are left out.
    """

    fingerprints: Mapping[str, str] = field(default_factory=dict[str, str])
    concerns: Mapping[str, tuple[Suspicion, ...]] = field(default_factory=dict[str, tuple[Suspicion, ...]])


_SCANNED_CHARS = 20_000
_EVIDENCE_CHARS = 120
_AROUND = 30
_DEPTH = 6

# Each needs words that address a model or name a secret, not just an imperative: "Do not use this for large
# files" and "always pass an absolute path" are ordinary documentation.
_INSTRUCTIONS = re.compile(
    r"""
      <\s*/?\s*(?:important|system|instructions?|secret|admin|hidden)\s*>
    | \b(?:ignore|disregard|forget|override)\b.{0,30}
      \b(?:previous|prior|above|earlier|other|all)\b.{0,20}\b(?:instructions?|prompts?|rules?|messages?)\b
    | \b(?:do\s+not|don't|never|without)\b.{0,20}
      \b(?:tell|tells|telling|mention|mentioning|inform|informing|notify|notifying|reveal|revealing)\b.{0,20}
      \b(?:user|human|person|anyone)\b
    | \bbefore\s+(?:using|calling|invoking)\b.{0,40}\b(?:any|other|another|this)\b.{0,20}\btools?\b[^.;]{0,60}
      \b(?:read|send|call|include|pass|access)\b
    | \b(?:read|send|include|attach|pass|provide|exfiltrate|upload)\b.{0,60}
      (?:~/\.|\.ssh\b|id_rsa\b|\.env\b|mcp\.json\b|private\s+key|system\s+prompt|conversation\s+history
        |credentials?\s+file|contents?\s+of\s+(?:all\s+)?(?:your|the)\s+(?:memory|context|conversation))
    | \byou\s+(?:are\s+now|must\s+now|are\s+required\s+to\s+(?:first|always))\b
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def read_words(catalog: Catalog) -> Words:
    """Judge every tool's words. Slow (0.3 s for thousands of tools): for a thread."""
    found = {tool.id: tuple(_of_tool(tool)) for tool in catalog.tools}
    return Words(
        {tool.id: text_fingerprint(tool) for tool in catalog.tools},
        {tool_id: concerns for tool_id, concerns in found.items() if concerns},
    )


def suspicions(words: Words, pins: Mapping[str, str]) -> tuple[Suspicion, ...]:
    """Everything suspicious that nobody accepted, in the catalog's order.

    Args:
        words: of the tools as they are now.
        pins: the accepted fingerprint of each tool, by id.
    """
    return tuple(
        found
        for tool_id, fingerprint in words.fingerprints.items()
        for found in _unaccepted(tool_id, fingerprint, words, pins.get(tool_id))
    )


def new_pins(words: Words, pins: Mapping[str, str]) -> dict[str, str]:
    """The fingerprints of the tools that are seen for the first time and are not suspicious, by id."""
    return {
        tool_id: fingerprint
        for tool_id, fingerprint in words.fingerprints.items()
        if tool_id not in pins and tool_id not in words.concerns
    }


def _unaccepted(tool_id: str, fingerprint: str, words: Words, pinned: str | None) -> Iterator[Suspicion]:
    if pinned == fingerprint:
        return
    if pinned is not None:
        yield Suspicion(tool_id, Concern.CHANGED, "its words or its schema differ from those accepted")
    yield from words.concerns.get(tool_id, ())


def _of_tool(tool: Tool) -> Iterator[Suspicion]:
    texts = list(_texts(tool))
    hidden = hidden_characters("".join(texts))
    if hidden:
        yield Suspicion(tool.id, Concern.HIDDEN_CHARACTERS, plain(", ".join(hidden), _EVIDENCE_CHARS))
    for text in texts:
        found = _INSTRUCTIONS.search(text)
        if found:
            around = text[max(0, found.start() - _AROUND) : found.end() + _AROUND]
            yield Suspicion(tool.id, Concern.INSTRUCTIONS, plain(around, _EVIDENCE_CHARS))
            break


def _texts(tool: Tool) -> Iterable[str]:
    """All that a model may be shown of a tool, within bounds."""
    yield tool.name[:_SCANNED_CHARS]
    yield tool.title[:_SCANNED_CHARS]
    yield tool.description[:_SCANNED_CHARS]
    room = _SCANNED_CHARS
    for text in _schema_texts(tool.input_schema, _DEPTH):
        if room <= 0:
            return
        yield text[:room]
        room -= len(text)


def _schema_texts(schema: Any, depth: int) -> Iterator[str]:
    """The names and descriptions inside a schema."""
    if depth == 0:
        return
    if isinstance(schema, Mapping):
        for key, value in cast("Mapping[Any, Any]", schema).items():
            if key in ("description", "title") and isinstance(value, str):
                yield value
            else:
                yield str(key)
                yield from _schema_texts(value, depth - 1)
    elif isinstance(schema, list):
        for item in cast("list[Any]", schema):
            yield from _schema_texts(item, depth - 1)
