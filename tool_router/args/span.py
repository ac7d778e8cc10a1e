"""What a span is: a piece of the text that may be a value, with its kind, offsets and parsed value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tool_router.args.model import Source


class Kind(StrEnum):
    """What a piece of text is, judged by its form alone."""

    QUOTED = "quoted"
    NUMBER = "number"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    DURATION = "duration"
    URL = "url"
    EMAIL = "email"
    PATH = "path"
    REPO = "repo"
    IDENTIFIER = "identifier"
    JSON = "json"
    CODE = "code"
    LIST = "list"
    NAME = "name"
    PHRASE = "phrase"
    TEXT = "text"
    """A stretch of free text: what remains of a task without its command framing."""


@dataclass(frozen=True, slots=True)
class Span:
    """One possible value, read from a text.

    Attributes:
        start: offset of the first character of the evidence.
        end: offset after its last character.
        text: the evidence, verbatim.
        value: what it says: a str, a number, a list, a dict; dates and times in ISO 8601.
        unit: the unit a number carries as written, lower case ("km", "%", "$"); empty without one.
        key: the name it was given in the text itself (``limit=5``, ``priority: high``); empty without one.
        items: the members of a list, as spans of their own.
    """

    kind: Kind
    start: int
    end: int
    text: str
    value: Any
    unit: str = ""
    key: str = ""
    items: tuple[Span, ...] = ()
    source: Source = Source.TASK

    def overlaps(self, other: Span) -> bool:
        """Whether the two share a character of the same text."""
        return self.source is other.source and self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Shaped:
    """A span written as a parameter wants it.

    Attributes:
        fit: how well its form suits the parameter, 0 to 1.
        doubt: why the form itself is not sure; empty when it is.
    """

    value: Any
    fit: float
    doubt: str = ""


class Coverage:
    """Which characters of a text are taken; both operations cost only the length they concern."""

    def __init__(self, size: int, areas: Iterable[tuple[int, int]] = ()) -> None:
        self._taken = bytearray(size)
        for start, end in areas:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Take a stretch."""
        self._taken[start:end] = b"\1" * (end - start)

    def touches(self, start: int, end: int) -> bool:
        """Whether any character of a stretch is taken."""
        return self._taken.find(1, start, end) >= 0
