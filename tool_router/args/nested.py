"""Fills a required object, or the one object of a required list, from the text, as far as the text goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tool_router.args.bind import Binding, bind
from tool_router.args.fit import Fit, Scene
from tool_router.args.freetext import free_text
from tool_router.args.meaning import Meaning
from tool_router.args.slots import NOTHING, Slot
from tool_router.args.span import Kind, Span
from tool_router.args.spans import Reading

_NAMED_CUE = 0.35
LEAST_MEMBER = 0.3
"""Score below which a member is left missing rather than guessed."""


@dataclass(frozen=True, slots=True)
class Filled:
    """An object read from the text.

    Attributes:
        value: the object, or the list that holds it.
        missing: where required members have no value, as ``entities[0].entityType``.
        bindings: what each member was bound to.
        members: the slots the bindings index.
    """

    value: Any
    missing: tuple[str, ...]
    bindings: tuple[Binding, ...]
    members: tuple[Slot, ...]


def is_compound(slot: Slot) -> bool:
    """Whether a slot is an object with known members, or a list of them."""
    return bool(_members(slot))


def _members(slot: Slot) -> tuple[Slot, ...]:
    if slot.types and slot.types <= {"array", "null"}:
        item = slot.item
        return item.children if item is not None and item.types <= {"object", "null"} else ()
    return slot.children if slot.types and slot.types <= {"object", "null"} else ()


def fill(
    slot: Slot,
    readings: Sequence[Reading],
    tool_stems: frozenset[str],
    free: Callable[[Span], bool],
) -> Filled | None:
    """Read one object; None when the text says nothing of it.

    Args:
        slot: a slot for which `is_compound` holds.
        readings: the task and the context.
        tool_stems: words the tool uses of itself.
        free: whether a span is not yet used by another parameter.
    """
    members = _members(slot)
    scene = Scene(readings, members, tool_stems, loose_text=True)
    extra: dict[int, list[Span]] = {}
    for index, member in enumerate(members):
        if _textual(member):
            extra[index] = [span for span in free_text(readings[0], tool_stems, Meaning.TEXT) if span.unit]
    fits = [
        [fit for fit in mine if free(fit.span) and _may(members[index], fit)]
        for index, mine in enumerate(scene.fits(extra))
    ]
    bound = {
        index: binding
        for index, binding in _with_subject(members, bind(members, fits)).items()
        if binding.fit.score >= LEAST_MEMBER
    }
    if not bound:
        return None
    value: dict[str, Any] = {
        members[index].name: binding.fit.value for index, binding in sorted(bound.items())
    }
    for index, binding in bound.items():
        if binding.fit.span.kind is Kind.TEXT:
            value[members[index].name] = _without_subject(binding.fit.value, value)
    for member in members:
        if member.required and member.name not in value and member.default is not NOTHING:
            value[member.name] = member.default
    listed = slot.accepts("array") and bool(slot.types)
    place = f"{slot.name}[0]" if listed else slot.name
    missing = tuple(f"{place}.{m.name}" for m in members if m.required and m.name not in value)
    return Filled([value] if listed else value, missing, tuple(bound.values()), members)


def _with_subject(members: Sequence[Slot], bound: Mapping[int, Binding]) -> Mapping[int, Binding]:
    """A statement that opens with its subject ("Ada likes tea") speaks for both."""
    statement = next((b for b in bound.values() if b.fit.span.kind is Kind.TEXT), None)
    if statement is None:
        return bound
    start = statement.fit.span.start
    subject = next((b for b in bound.values() if b is not statement and b.fit.span.start == start), None)
    if subject is None:
        return bound
    return {
        index: replace(binding, fit=replace(binding.fit, score=binding.fit.score + 0.3))
        if binding in (statement, subject)
        else binding
        for index, binding in bound.items()
    }


def _textual(slot: Slot) -> bool:
    inner = slot.item if slot.item is not None else slot
    return inner.accepts("string") and not inner.enum and slot.meaning in (Meaning.TEXT, Meaning.QUERY)


def _may(slot: Slot, fit: Fit) -> bool:
    """A bare word is no member of an object unless it was named as one."""
    return (
        fit.span.kind is not Kind.PHRASE or fit.keyed or fit.chosen or slot.numeric or fit.cue >= _NAMED_CUE
    )


def _without_subject(text: Any, value: dict[str, Any]) -> Any:
    """What is said of a subject: of the entity Ada, "Ada likes tea" is "likes tea"."""
    if isinstance(text, list):
        return [_without_subject(one, value) for one in text]  # pyright: ignore[reportUnknownVariableType]
    for name in value.values():
        if isinstance(name, str) and isinstance(text, str) and text.startswith(f"{name} "):
            return text[len(name) + 1 :]
    return text
