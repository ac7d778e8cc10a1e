"""What a tool does to the world: reads, writes, or destroys. Pure.

Annotations decide where a server gives them. Where it gives none, the name, the description and the schema
are read, and of several readings the more careful one counts: a wrong call costs more than a question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from typing import cast

from tool_router.catalog.model import Tool


class Effect(IntEnum):
    """The effect of a call, ordered by care: a higher one needs more certainty."""

    READ = 0
    WRITE = 1
    DESTRUCTIVE = 2

    @property
    def label(self) -> str:
        """The name as configuration and results spell it."""
        return self.name.lower()


_READS = frozenset(
    """
    analyze browse calculate check compare compute convert count describe detect diff echo estimate
    evaluate explain extract fetch find forecast get geocode grep head inspect list load locate
    lookup measure peek ping preview query read recall recommend render resolve retrieve scan search
    see show sort stat status suggest summarize tail tell track translate tree validate verify view
    watch whoami
    """.split()
)
_WRITES = frozenset(
    """
    add annotate append apply approve assign attach book build clone comment commit configure
    connect convene copy create deploy disable download duplicate edit enable export generate import
    init insert install invite join log make merge modify mount open patch pause post publish push
    put record register remember rename reply request resume save schedule send set share start
    store submit subscribe sync tag toggle trigger update upload upsert write
    """.split()
)
_DESTROYS = frozenset(
    """
    ban cancel clear close deactivate decline delete demote destroy detach discard drop erase evict
    exec execute expire flush format kick kill move overwrite pay prune purge purchase reboot refund
    reject remove replace reset restart revert revoke rm rollback run shell shutdown stop terminate
    transfer trash truncate unassign uninstall unlink unpublish unregister unsubscribe wipe withdraw
    """.split()
)
_LASTING = re.compile(
    r"\b(permanent(ly)?|irreversibl[ey]|irrevocabl[ey]|can(no|')t be undone|overwrit(e|es|ing))\b",
    re.IGNORECASE,
)
_ARBITRARY = frozenset("code command commands cmd script shell sql statement".split())
_FORCEFUL = frozenset("force overwrite delete purge destroy".split())
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def effect_of(tool: Tool) -> Effect:
    """Say what a call of the tool does.

    MCP's own defaults apply to partial annotations: a tool that says only "not read-only" may destroy,
    unless its text speaks of nothing worse than adding.
    """
    hints = tool.hints
    if hints.destructive and not hints.read_only:
        return Effect.DESTRUCTIVE
    if hints.read_only:
        return Effect.READ
    if hints.destructive is False:
        return Effect.WRITE
    from_text = effect_from_text(tool)
    return max(Effect.WRITE, from_text) if hints.read_only is False else from_text


def effect_from_text(tool: Tool) -> Effect:
    """Read the effect from name, description and schema; the most careful reading counts."""
    said = (_verb_effect(tool), _sentence_effect(tool.description))
    readings = [effect for effect in said if effect is not None]
    if _LASTING.search(tool.description):
        readings.append(Effect.DESTRUCTIVE)
    properties = _property_names(tool)
    if properties & _FORCEFUL:
        readings.append(Effect.DESTRUCTIVE)
    if properties & _ARBITRARY and max(readings, default=Effect.WRITE) is not Effect.READ:
        readings.append(Effect.DESTRUCTIVE)
    return max(readings, default=Effect.WRITE)


def _verb_effect(tool: Tool) -> Effect | None:
    """The most careful verb of the tool's own name; None when no word of it is a known verb.

    After a leading reading verb a word such as "comment" or "post" names what is read, unless it is joined on
    (``get_or_create``).
    """
    words = [word.lower() for word in _WORD.findall(tool.name)]
    effects = _known(words)
    if words and words[0] in _READS and not {"and", "or"} & set(words):
        effects = [effect for effect in effects if effect is not Effect.WRITE]
    return max(effects, default=None)


def _sentence_effect(description: str) -> Effect | None:
    """The effect of the description's leading verb ("Deletes a row", "Permanently delete ...")."""
    words = [word.lower() for word in _WORD.findall(description[:200])][:3]
    return next(iter(_known(form for word in words for form in (word, _base_form(word)))), None)


def _base_form(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _known(words: Iterable[str]) -> list[Effect]:
    effects: list[Effect] = []
    for word in words:
        if word in _DESTROYS:
            effects.append(Effect.DESTRUCTIVE)
        elif word in _WRITES:
            effects.append(Effect.WRITE)
        elif word in _READS:
            effects.append(Effect.READ)
    return effects


def _property_names(tool: Tool) -> set[str]:
    schema = tool.input_schema
    properties: object = None if isinstance(schema, bool) else schema.get("properties")
    return (
        {str(name).lower() for name in cast("dict[object, object]", properties)}
        if isinstance(properties, dict)
        else set()
    )
