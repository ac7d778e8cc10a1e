"""Sets and removes one member of a JSON document, leaving every other byte as it is. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from tool_router.install.jsonc import JsoncError, Member, Node, Reader, parse

_INDENT = re.compile(r"\n([ \t]+)\S")
_REST_OF_LINE = re.compile(r"[ \t]*(?:/\*[^\r\n]*?\*/[ \t]*)*(?://[^\r\n]*)?")


def get(text: str, path: Sequence[str], *, comments: bool) -> Any | None:
    """The value at a path of names; None where there is none.

    Raises:
        JsoncError: the text is not JSON, or something on the way is not an object.
    """
    if not text.strip("\ufeff \t\r\n"):
        return None
    _, found = _walk(parse(text, comments=comments), path)
    return found[-1].value.value if len(found) == len(path) else None


def put(text: str, path: Sequence[str], value: Any, *, comments: bool) -> str:
    """Set the value at a path of names, making the objects on the way; an equal value changes nothing.

    Raises:
        JsoncError: the text is not JSON, or something on the way is not an object.
    """
    if not text.strip("\ufeff \t\r\n"):
        return text.rstrip(" \t\r\n") + _nested(path, value, "  ", "\n") + "\n"
    parent, found = _walk(parse(text, comments=comments), path)
    style = _Style(text)
    if len(found) == len(path):
        old = found[-1].value
        if old.value == value:
            return text
        new = style.dump(value, style.indent_at(found[-1].start))
        return text[: old.start] + new + text[old.end :]
    missing = path[len(found) :]
    for name in reversed(missing[1:]):
        value = {name: value}
    return _insert(text, parent, missing[0], value, style, comments)


def remove(text: str, path: Sequence[str], *, comments: bool) -> str:
    """Remove the member at a path of names, with its comma; a member that is not there changes nothing.

    Raises:
        JsoncError: the text is not JSON, or something on the way is not an object.
    """
    _, found = _walk(parse(text, comments=comments), path)
    if len(found) < len(path):
        return text
    parent = found[-2].value if len(found) > 1 else parse(text, comments=comments)
    member = found[-1]
    reader = Reader(text, comments)
    start, end = _line_start(text, member.start), member.value.end
    inline = start == member.start
    following = reader.skip(end)
    if text[following : following + 1] == ",":
        remark = text[end:following] if text[end:following].strip() else ""
        rest = text[following + 1 :]
        return _collapse(text[:start] + remark + (rest.lstrip(" \t") if inline else rest), parent.start)
    index = parent.members.index(member)
    if index == 0:
        return _collapse(text[:start] + text[end:], parent.start)
    comma = reader.skip(parent.members[index - 1].value.end)
    between = text[comma + 1 : start]
    return text[:comma] + (between.rstrip(" \t") if inline else between) + text[end:]


def _walk(root: Node, path: Sequence[str]) -> tuple[Node, list[Member]]:
    """The innermost object that exists on a path, and the members found on the way."""
    node, found = root, list[Member]()
    for index, name in enumerate(path):
        if not node.is_object:
            where = ".".join(path[:index]) or "the document"
            raise JsoncError(f"{where} is not an object")
        member = node.member(name)
        if member is None:
            break
        found.append(member)
        if index + 1 < len(path):
            node = member.value
    return node, found


def _insert(text: str, parent: Node, key: str, value: Any, style: _Style, comments: bool) -> str:
    """Add a member after the last one of an object."""
    if not parent.members:
        inner = style.indent_at(parent.start) + style.unit
        member = f"{style.newline}{inner}{style.member(key, value, inner)}"
        rest = text[parent.start + 1 : parent.end - 1]
        if rest.strip():
            return text[: parent.start + 1] + member + text[parent.start + 1 :]
        closing = f"{style.newline}{style.indent_at(parent.start)}"
        return text[: parent.start + 1] + member + closing + text[parent.end - 1 :]
    last = parent.members[-1].value.end
    if "\n" not in text[parent.start : parent.members[0].start]:
        return f"{text[:last]}, {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}{text[last:]}"
    comma = Reader(text, comments).skip(last)
    trailing = text[comma : comma + 1] == ","
    # A remark at the end of the last member's line belongs to it: the new member goes below.
    below = _REST_OF_LINE.match(text, comma + 1 if trailing else last)
    at = below.end() if below else last
    indent = style.indent_at(parent.members[0].start)
    member = f"{style.newline}{indent}{style.member(key, value, indent)}"
    if trailing:
        return f"{text[:at]}{member},{text[at:]}"
    return f"{text[:last]},{text[last:at]}{member}{text[at:]}"


class _Style:
    """How a document is laid out: its line ends, and what one level of it is indented by."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        first = _INDENT.search(text)
        self.unit = first.group(1) if first else "  "

    def indent_at(self, at: int) -> str:
        """The white space at the start of the line of a position."""
        line = self._text[self._text.rfind("\n", 0, at) + 1 : at].lstrip("\ufeff")
        return line[: len(line) - len(line.lstrip(" \t"))]

    def dump(self, value: Any, indent: str) -> str:
        """A value as it looks at this indentation."""
        lines = json.dumps(value, indent=self.unit, ensure_ascii=False).split("\n")
        return f"{self.newline}{indent}".join(lines)

    def member(self, key: str, value: Any, indent: str) -> str:
        """A member as it looks at this indentation."""
        return f"{json.dumps(key, ensure_ascii=False)}: {self.dump(value, indent)}"


def _nested(path: Sequence[str], value: Any, unit: str, newline: str) -> str:
    for name in reversed(path):
        value = {name: value}
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", newline)


def _line_start(text: str, at: int) -> int:
    """The end of the line before a position that only white space precedes; else the position itself."""
    start = at - (len(text[:at]) - len(text[:at].rstrip(" \t")))
    if text[:start].endswith("\n"):
        return start - (2 if text[:start].endswith("\r\n") else 1)
    return at


def _collapse(text: str, start: int) -> str:
    """Close an object up when nothing but white space is left in it."""
    blank = re.compile(r"\{\s*\}").match(text, start)
    return f"{text[:start]}{{}}{text[blank.end() :]}" if blank else text
