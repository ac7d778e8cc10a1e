"""JSON with the position of everything, and with comments and trailing commas where a client allows them.

The positions let an edit touch only what it changes: everything else of a person's file stays as it is, byte
for byte. Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 200

_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_SCALAR = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_SPACE = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)


class JsoncError(ValueError):
    """The text is not JSON; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object: its key, where the key's first quote is, and its value."""

    key: str
    start: int
    value: Node


@dataclass(frozen=True, slots=True)
class Node:
    """A value from `start` to before `end`; `members` in the text's order, for objects only."""

    start: int
    end: int
    value: Any
    members: tuple[Member, ...] = ()

    @property
    def is_object(self) -> bool:
        """Whether the value is an object."""
        return isinstance(self.value, dict)

    def member(self, key: str) -> Member | None:
        """The member of that key; the last of several, as every JSON reader takes it."""
        return next((member for member in reversed(self.members) if member.key == key), None)


def parse(text: str, *, comments: bool) -> Node:
    """Read a document.

    Args:
        text: the document; a byte order mark is allowed.
        comments: whether comments and trailing commas are.

    Raises:
        JsoncError: it is not JSON, or is nested deeper than `MAX_DEPTH`.
    """
    reader = Reader(text, comments)
    start = reader.skip(1 if text.startswith("\ufeff") else 0)
    node = reader.value(start, 0)
    rest = reader.skip(node.end)
    if rest < len(text):
        raise reader.error(rest, "something follows the end of the document")
    return node


class Reader:
    """Reads values at positions of one text.

    Args:
        text: the document.
        comments: whether comments and trailing commas are allowed.
    """

    def __init__(self, text: str, comments: bool) -> None:
        self._text = text
        self._comments = comments

    def error(self, at: int, problem: str) -> JsoncError:
        """The error for a position, with line and column counted from 1."""
        line = self._text.count("\n", 0, at) + 1
        column = at - (self._text.rfind("\n", 0, at) + 1) + 1
        return JsoncError(f"line {line}, column {column}: {problem}")

    def skip(self, at: int) -> int:
        """The position after white space, and after comments where they are allowed."""
        while True:
            at = _end(_SPACE.match(self._text, at), at)
            comment = _COMMENT.match(self._text, at) if self._comments else None
            if comment is None:
                return at
            at = comment.end()

    def value(self, at: int, depth: int) -> Node:
        """Read the value that starts at a position."""
        if depth > MAX_DEPTH:
            raise self.error(at, f"nested deeper than {MAX_DEPTH}")
        match self._text[at : at + 1]:
            case "{":
                return self._object(at, depth)
            case "[":
                return self._array(at, depth)
            case '"':
                end = self._string_end(at)
                return Node(at, end, json.loads(self._text[at:end]))
            case "":
                raise self.error(at, "the document ends too early")
            case _:
                scalar = _SCALAR.match(self._text, at)
                if scalar is None or self._text[scalar.end() : scalar.end() + 1].isalnum():
                    raise self.error(at, self._unexpected(at, "a value"))
                return Node(at, scalar.end(), json.loads(scalar.group()))

    def _object(self, start: int, depth: int) -> Node:
        members: list[Member] = []
        at = self.skip(start + 1)
        while self._text[at : at + 1] != "}":
            if self._text[at : at + 1] != '"':
                raise self.error(at, self._unexpected(at, "a name in double quotes"))
            key_start, key_end = at, self._string_end(at)
            at = self.skip(key_end)
            if self._text[at : at + 1] != ":":
                raise self.error(at, self._unexpected(at, "a colon"))
            value = self.value(self.skip(at + 1), depth + 1)
            members.append(Member(json.loads(self._text[key_start:key_end]), key_start, value))
            at = self._separator(value.end, "}")
        return Node(start, at + 1, {one.key: one.value.value for one in members}, tuple(members))

    def _array(self, start: int, depth: int) -> Node:
        values: list[Any] = []
        at = self.skip(start + 1)
        while self._text[at : at + 1] != "]":
            value = self.value(at, depth + 1)
            values.append(value.value)
            at = self._separator(value.end, "]")
        return Node(start, at + 1, values)

    def _separator(self, at: int, closing: str) -> int:
        """Pass the comma after a value; the position of what follows."""
        at = self.skip(at)
        found = self._text[at : at + 1]
        if found == closing:
            return at
        if found != ",":
            raise self.error(at, self._unexpected(at, f"a comma or {closing}"))
        after = self.skip(at + 1)
        if self._text[after : after + 1] == closing and not self._comments:
            raise self.error(at, f"a comma before {closing}")
        return after

    def _string_end(self, at: int) -> int:
        found = _STRING.match(self._text, at)
        if found is None:
            raise self.error(at, "this text in quotes is not closed, or holds a wrong escape")
        return found.end()

    def _unexpected(self, at: int, wanted: str) -> str:
        if at >= len(self._text):
            return f"the document ends where {wanted} is expected"
        if self._text.startswith(("//", "/*"), at):
            return f"a comment, which this client does not allow, where {wanted} is expected"
        return f"{self._text[at]!r} where {wanted} is expected"


def _end(found: re.Match[str] | None, otherwise: int) -> int:
    return found.end() if found else otherwise
