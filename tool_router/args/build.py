"""Builds the arguments of one tool from a task, its context and what the caller gave.

The order: what the caller gave stands; what the task (then the context) says is bound to the rest; a
required parameter that still has no value takes its schema's default; what remains is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tool_router.args.bind import Binding, bind
from tool_router.args.clarity import doubts_of
from tool_router.args.coerce import coerce
from tool_router.args.fit import Scene
from tool_router.args.flags import is_flag, read_flags, written
from tool_router.args.freetext import free_text
from tool_router.args.meaning import Meaning
from tool_router.args.model import Draft, Invalid, Source, Value
from tool_router.args.nested import Filled, fill, is_compound
from tool_router.args.slots import NOTHING, Slot, slots_of
from tool_router.args.span import Span
from tool_router.args.spans import Reading, read
from tool_router.args.validate import violations
from tool_router.args.words import content_stems, split_identifier, stem
from tool_router.catalog.model import Tool


def build(
    tool: Tool,
    task: str,
    context: str = "",
    given: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> Draft:
    """Draft the arguments of a call.

    Args:
        tool: the tool to call.
        task: what is to be done; the text that commands.
        context: what else is known; it only fills what the task leaves open.
        given: the caller's own arguments: coerced and validated, never replaced.
        now: the clock that "tomorrow" is read by; without it relative dates stay unbound.
    """
    slots = slots_of(tool.input_schema)
    values: dict[str, Value] = {}
    invalid: list[Invalid] = []
    known = {slot.name: slot for slot in slots}
    for name, value in (given or {}).items():
        if name in known:
            values[name] = Value(coerce(value, known[name]), Source.CALLER)
        else:
            values[name] = Value(value, Source.CALLER)
    open_slots = tuple(slot for slot in slots if slot.name not in values)
    doubts: tuple[str, ...] = ()
    partly: Mapping[str, tuple[str, ...]] = {}
    truncated: tuple[str, ...] = ()
    if open_slots and (task.strip() or context.strip()):
        readings = [read(task, Source.TASK, now)]
        if context.strip():
            readings.append(read(context, Source.CONTEXT, now))
        truncated = tuple(
            f"Only the first {len(reading.text):,} characters of the {reading.source} were read."
            for reading in readings
            if reading.truncated
        )
        found, doubts, partly = _filled(tool, open_slots, readings)
        values.update(found)
    for slot in open_slots:
        if slot.required and slot.name not in values and slot.default is not NOTHING:
            values[slot.name] = Value(slot.default, Source.DEFAULT)
    missing = _missing(slots, values, partly)
    doubts = (*doubts, *truncated)
    ordered = {name: values[name] for name in [*known, *values] if name in values}
    broken, unusable = violations({name: value.value for name, value in ordered.items()}, tool.input_schema)
    invalid.extend(broken)
    if unusable:
        doubts = (*doubts, unusable)
    return Draft(ordered, missing, tuple(invalid), doubts)


def _missing(
    slots: tuple[Slot, ...], values: Mapping[str, Value], partly: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Required parameters without a value, and the required members that a partly read object lacks."""
    found: list[str] = []
    for slot in slots:
        if slot.required and slot.name not in values:
            found.append(slot.name)
        found.extend(partly.get(slot.name, ()))
    return tuple(found)


def _filled(
    tool: Tool, slots: tuple[Slot, ...], readings: list[Reading]
) -> tuple[dict[str, Value], tuple[str, ...], dict[str, tuple[str, ...]]]:
    tool_stems = content_stems(tool.description[:1000]) | {stem(w) for w in split_identifier(tool.name)}
    scene = Scene(readings, slots, tool_stems)
    extra: dict[int, list[Span]] = {}
    for index, slot in enumerate(slots):
        if slot.meaning in (Meaning.TEXT, Meaning.QUERY) and slot.accepts("string") and not slot.enum:
            extra[index] = list(free_text(readings[0], tool_stems, slot.meaning))
    fits = scene.fits(extra)
    bindings: Mapping[int, Binding] = bind(slots, fits)
    values: dict[str, Value] = {}
    for index, binding in bindings.items():
        fit = binding.fit
        values[slots[index].name] = Value(fit.value, fit.span.source, fit.span.text)
    used = [(b.fit.span.start, b.fit.span.end) for b in bindings.values() if b.fit.span.source is Source.TASK]
    flags = read_flags([slot for slot in slots if slot.name not in values], readings[0], tool_stems)
    for slot in slots:
        if is_flag(slot) and slot.name not in values:
            read_flag = flags.get(slot.name)
            if read_flag is not None:
                values[slot.name] = Value(written(read_flag.value, slot), Source.TASK, read_flag.evidence)
                used.append((read_flag.start, read_flag.end))
    partly: dict[str, tuple[str, ...]] = {}
    inner: list[str] = []
    for slot in slots:
        if slot.required and slot.name not in values and is_compound(slot):
            filled = fill(slot, readings, tool_stems, lambda span: not _overlaps(used, span))
            if filled is not None:
                stretch = [b.fit.span for b in filled.bindings if b.fit.span.source is Source.TASK]
                used.extend((span.start, span.end) for span in stretch)
                values[slot.name] = Value(filled.value, *_evidence(filled, readings))
                partly[slot.name] = filled.missing
                inner.extend(_inner_doubts(filled, readings[0], used, tool_stems))
    open_slots = [slot for slot in slots if slot.name not in values]
    vocabulary = tool_stems.union(*(slot.about | set(slot.stems) for slot in slots))
    doubts = (*doubts_of(slots, bindings, readings[0], used, open_slots, vocabulary), *inner)
    return values, doubts, partly


def _inner_doubts(
    filled: Filled, reading: Reading, used: list[tuple[int, int]], tool_stems: frozenset[str]
) -> tuple[str, ...]:
    """What is unclear inside an object that was read from the text."""
    bound = {filled.members[b.fit.slot].name for b in filled.bindings}
    members = [member for member in filled.members if member.name not in bound]
    vocabulary = tool_stems.union(*(slot.about | set(slot.stems) for slot in filled.members))
    bindings = {b.fit.slot: b for b in filled.bindings}
    return doubts_of(filled.members, bindings, reading, used, members, vocabulary)


def _overlaps(used: list[tuple[int, int]], span: Span) -> bool:
    return span.source is Source.TASK and any(low < span.end and span.start < high for low, high in used)


def _evidence(filled: Filled, readings: list[Reading]) -> tuple[Source, str]:
    """One verbatim stretch that holds all that an object was read from; of the task where it has any."""
    for reading in readings:
        spans = [b.fit.span for b in filled.bindings if b.fit.span.source is reading.source]
        if spans:
            return reading.source, reading.text[min(s.start for s in spans) : max(s.end for s in spans)]
    return Source.TASK, ""
