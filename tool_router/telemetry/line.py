"""One log event as one line for people: time, level, event, then key=value. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_LEADING: Final = ("timestamp", "level", "event", "exception")
_WIDEST_LEVEL: Final = len("critical")


def render_line(event: Mapping[str, Any]) -> str:
    """Render an event dict; ``exception`` (a traceback) follows on lines of its own, indented.

    Control characters are escaped: what a tool or a gateway said must not move the reader's cursor.
    """
    head = [str(event.get("timestamp", "")), str(event.get("level", "")).ljust(_WIDEST_LEVEL)]
    fields = [f"{key}={_value(value)}" for key, value in event.items() if key not in _LEADING]
    line = " ".join([*head, escaped(str(event.get("event", ""))), *fields]).strip()
    trace = event.get("exception")
    if not trace:
        return line
    return "\n    ".join([line, *(escaped(part) for part in str(trace).splitlines())])


def escaped(text: str) -> str:
    """Escape what is not printable, in the way of Python's string literals."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _value(value: object) -> str:
    """A value as text: bare when that is unmistakable, as JSON otherwise."""
    if isinstance(value, str) and value and value.isprintable() and not set(value) & set(" \"'=[]{}"):
        return value
    return escaped(json.dumps(value, ensure_ascii=False, default=str))
