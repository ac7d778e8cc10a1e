"""Spans that are moments: dates, times of day, both together, and durations of several parts.

Values are ISO 8601 (``2024-03-05``, ``14:30``, ``2024-03-05T14:30``, ``PT1H30M``); the binder writes them the
way a schema asks for. A relative date ("tomorrow") gets a value only with a clock: without one it is no date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from tool_router.args.span import Kind, Span

MONTHS = {
    name[:size]: number
    for number, name in enumerate(
        ("january february march april may june july august september october november december").split(),
        1,
    )
    for size in (3, len(name))
} | {"sept": 9}
WEEKDAYS: tuple[str, ...] = tuple("monday tuesday wednesday thursday friday saturday sunday".split())
SECONDS = {
    "second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60, "hour": 3600, "hr": 3600, "h": 3600,
    "day": 86_400, "week": 604_800,
}  # fmt: skip
"""Seconds in a unit of time, by its singular form; months and years have no fixed length."""

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b{_YEAR}[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}})(?!\d)",
        rf"\b(?P<name>{_MONTH})\b\.?\s+{_DAY}\b(?:(?:\s*,\s*|\s+(?:of\s+)?){_YEAR}\b(?!\s*(?:[ap]\.?m|:)))?",
        rf"\b{_DAY}\s*(?:of\s+)?[-\s]?(?P<name>{_MONTH})\b\.?(?:[\s,-]+{_YEAR}\b)?",
        rf"\b(?P<name>{_MONTH})\b\.?,?\s+(?:of\s+)?{_YEAR}\b",
        rf"\b(?P<first>\d{{1,2}})[-/.](?P<second>\d{{1,2}})[-/.]{_YEAR}(?!\d)",
    )
)
_TIME = re.compile(
    r"(?<![\d:.])(?P<hour>\d{1,2})(?::(?P<minute>[0-5]\d))?(?::(?P<second>[0-5]\d))?"
    r"\s?(?P<half>[ap]\.?\s?m\b\.?|o'clock\b|in the (?:morning|afternoon|evening)\b|at night\b)?(?![\d:])",
    re.IGNORECASE,
)
_NAMED_TIME = re.compile(r"\b(?:noon|midday|midnight)\b", re.IGNORECASE)
_STAMP = re.compile(r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?(?!\d)")
_BETWEEN = re.compile(r"\s*(?:,|at|T|from|around|\s)*\s*", re.IGNORECASE)
_RELATIVE = re.compile(
    r"\b(?:the\s+)?(?P<word>day\s+after\s+tomorrow|day\s+before\s+yesterday|today|tonight|tomorrow|yesterday)\b"
    rf"|\b(?:(?P<way>this|next|last|coming|on)\s+)(?P<weekday>{'|'.join(WEEKDAYS)})\b"
    r"|\bin\s+(?P<ahead>\d{1,3})\s+(?P<ahead_unit>day|week)s?\b"
    r"|\b(?P<back>\d{1,3})\s+(?P<back_unit>day|week)s?\s+ago\b"
    r"|\b(?P<next>next|last)\s+(?P<next_unit>week)\b",
    re.IGNORECASE,
)
_WORD_DAYS = {
    "day after tomorrow": 2, "tomorrow": 1, "today": 0, "tonight": 0, "yesterday": -1,
    "day before yesterday": -2,
}  # fmt: skip
_DURATION = re.compile(
    r"\b(\d+)\s*(hours?|hrs?|h|minutes?|mins?|days?|weeks?)\s*(?:,|and|\s)\s*(?:and\s+)?"
    r"(\d+)\s*(minutes?|mins?|m|seconds?|secs?|s|hours?|days?)\b",
    re.IGNORECASE,
)
_ISO_DURATION = re.compile(r"\bP(?=[\dT])(?:\d+[YMWD])*(?:T(?:\d+[HMS])+)?\b")


def time_spans(text: str, now: datetime | None) -> Iterator[Span]:
    """Every moment a text names; a date beside a time is given alone and joined with it."""
    found: list[Span] = []
    for match in _STAMP.finditer(text):
        yield Span(Kind.DATETIME, *match.span(), match.group(), match.group().replace(" ", "T"))
    for pattern in _DATES:
        for match in pattern.finditer(text):
            span = _date(match, now)
            if span is not None and not any(span.overlaps(other) for other in found):
                found.append(span)
    if now is not None:
        found.extend(span for span in _relative(text, now) if not any(span.overlaps(o) for o in found))
    times = list(_times(text, found))
    yield from found
    yield from times
    for day in found:
        for hour in times:
            first, last = (day, hour) if day.start < hour.start else (hour, day)
            gap = text[first.end : last.start]
            if first.end <= last.start and len(gap) < 8 and _joins(gap) and len(day.value) == 10:
                piece = text[first.start : last.end]
                yield Span(Kind.DATETIME, first.start, last.end, piece, f"{day.value}T{hour.value}")
    for match in _DURATION.finditer(text):
        seconds = int(match[1]) * SECONDS[_singular(match[2])] + int(match[3]) * SECONDS.get(
            _singular(match[4]), 60
        )
        yield Span(Kind.DURATION, *match.span(), match.group(), seconds, unit="second")
    for match in _ISO_DURATION.finditer(text):
        yield Span(Kind.DURATION, *match.span(), match.group(), match.group(), unit="iso")


def _joins(gap: str) -> bool:
    return _BETWEEN.fullmatch(gap) is not None or gap.strip() in ("on", "")


def _singular(unit: str) -> str:
    low = unit.lower()
    return low[:-1] if low.endswith("s") and len(low) > 1 else low


def _date(match: re.Match[str], now: datetime | None) -> Span | None:
    parts = match.groupdict()
    year = int(parts["year"]) if parts.get("year") else now.year if now is not None else 0
    if "first" in parts:
        first, second = int(parts["first"]), int(parts["second"])
        month, day = (second, first) if first > 12 else (first, second)
    else:
        month = int(parts["month"]) if parts.get("month") else MONTHS[parts["name"].lower()]
        day = int(parts["day"]) if parts.get("day") else 0
    if not 1 <= month <= 12 or day > 31:
        return None
    value = f"{year:04d}-{month:02d}" + (f"-{day:02d}" if day else "") if year else ""
    if year and day and not _exists(year, month, day):
        return None
    return Span(Kind.DATE, *match.span(), match.group(), value, unit="ambiguous" if _ambiguous(parts) else "")


def _ambiguous(parts: dict[str, str | None]) -> bool:
    """03/04/2024 may be read either way."""
    first, second = parts.get("first"), parts.get("second")
    return bool(first and second and int(first) <= 12 and int(second) <= 12 and first != second)


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _relative(text: str, now: datetime) -> Iterator[Span]:
    today = now.date()
    for match in _RELATIVE.finditer(text):
        parts = match.groupdict()
        if parts["word"]:
            days = _WORD_DAYS[" ".join(parts["word"].lower().split())]
        elif parts["weekday"]:
            days = _days_to(parts["way"].lower(), WEEKDAYS.index(str(parts["weekday"]).lower()), today)
        elif parts["ahead"]:
            days = int(parts["ahead"]) * (7 if parts["ahead_unit"].lower() == "week" else 1)
        elif parts["back"]:
            days = -int(parts["back"]) * (7 if parts["back_unit"].lower() == "week" else 1)
        else:
            days = 7 if parts["next"].lower() == "next" else -7
        try:
            day = today + timedelta(days=days)
        except OverflowError:
            continue
        yield Span(Kind.DATE, *match.span(), match.group(), day.isoformat(), unit="relative")


def _days_to(way: str, weekday: int, today: date) -> int:
    ahead = (weekday - today.weekday()) % 7
    if way == "last":
        return ahead - 7
    if way == "next":
        return ahead or 7
    return ahead


def _times(text: str, dates: list[Span]) -> Iterator[Span]:
    for match in _TIME.finditer(text):
        if match["minute"] is None and match["half"] is None:
            continue
        if any(day.start < match.end() and match.start() < day.end for day in dates):
            continue
        hour, half = int(match["hour"]), (match["half"] or "").lower()
        if (half.startswith("p") or half[-7:] in ("ternoon", "evening") or half == "at night") and hour < 12:
            hour += 12
        elif half.startswith("a") and hour == 12:
            hour = 0
        if hour > 23:
            continue
        value = f"{hour:02d}:{match['minute'] or '00'}" + (f":{match['second']}" if match["second"] else "")
        end = match.start() + len(match.group().rstrip())
        yield Span(Kind.TIME, match.start(), end, text[match.start() : end], value)
    for match in _NAMED_TIME.finditer(text):
        value = "00:00" if match.group().lower() == "midnight" else "12:00"
        yield Span(Kind.TIME, *match.span(), match.group(), value)
