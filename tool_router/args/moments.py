"""Dates, times and durations written the way a parameter asks for them."""

from __future__ import annotations

from tool_router.args.meaning import Meaning
from tool_router.args.slots import Slot
from tool_router.args.span import Kind, Span
from tool_router.args.spans_time import SECONDS


def written_duration(span: Span) -> str:
    """A duration of several parts in ISO 8601."""
    if span.unit == "iso":
        return str(span.value)
    left, parts = int(span.value), ""
    for unit, letter in (("hour", "H"), ("minute", "M"), ("second", "S")):
        count, left = divmod(left, SECONDS[unit])
        parts += f"{count}{letter}" if count else ""
    return f"PT{parts}"


def written_moment(span: Span, slot: Slot) -> tuple[str, str]:
    """A date or time in the layout the description asks for, and a doubt where it could be read two ways."""
    value = str(span.value)
    doubt = f"{span.text!r} can be read day first or month first" if span.unit == "ambiguous" else ""
    layout = slot.hints.date_format
    if span.kind is Kind.DATE and not value:
        return ("", "") if layout or slot.meaning in (Meaning.DATE, Meaning.DATETIME) else (span.text, "")
    if span.kind is Kind.DATE and len(value) == 7 and slot.meaning is Meaning.DATE:
        return value, f"{span.text!r} names no day"
    day, _, hour = value.partition("T")
    if layout and len(day) == 10 and span.kind is not Kind.TIME:
        return _laid_out(layout, day, hour), doubt or (
            "no time of day is given" if "HH" in layout and not hour else ""
        )
    return (f"{day}T{hour}" if hour else day), doubt


def _laid_out(layout: str, day: str, hour: str) -> str:
    """A moment in a layout like ``DD/MM/YYYY HH:MM``; ISO 8601 when the layout can't be followed."""
    at = layout.find("HH")
    date_part, clock_part = (layout, "") if at < 0 else (layout[:at], layout[at:])
    year, month, date = day.split("-")
    written = date_part.replace("YYYY", year).replace("YY", year[2:]).replace("MM", month).replace("DD", date)
    if any(char in "MDY" for char in written):
        return f"{day}T{hour}" if hour else day
    if not clock_part or not hour:
        return written.rstrip(" T'")
    seconds = hour if hour.count(":") == 2 else f"{hour}:00"
    return (
        written.replace("'", "")
        + (seconds if "SS" in clock_part else hour[:5])
        + ("Z" if clock_part.endswith("Z") else "")
    )
