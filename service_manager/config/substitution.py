"""Environment variables in configuration text: ``${NAME}``, ``${NAME:-default}``, and ``$$`` for a dollar.

A default counts when the variable is unset or empty, as in a shell, and may itself hold substitutions. What a
variable holds is never read for further ones, so that a value can't smuggle anything in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from service_manager.config.mistake import Mistake

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

MAX_DEPTH = 20
"""Defaults inside defaults; deeper text is a mistake, and would exhaust the stack."""


class MalformedSubstitution(Mistake):
    """Text that starts a substitution and does not finish it."""


@dataclass(frozen=True, slots=True)
class Substituted:
    """Text after substitution.

    Attributes:
        missing: variables that were wanted, have no default and are not set, each once; each counts as
            empty in `text`. A variable that is set to nothing is not missing.
    """

    text: str
    missing: tuple[str, ...] = ()


def substitute(text: str, environ: Mapping[str, str]) -> Substituted:
    """Replace every substitution in `text`.

    Raises:
        MalformedSubstitution: a ``${`` is not closed or holds no name, or a ``$NAME`` lacks its braces.
    """
    if "$" not in text:
        return Substituted(text)
    reader = _Reader(text, environ)
    result, missing = reader.read(depth=0)
    return Substituted(result, tuple(dict.fromkeys(missing)))


class _Reader:
    """Reads one text from left to right; `position` is the next character."""

    def __init__(self, text: str, environ: Mapping[str, str]) -> None:
        self._text = text
        self._environ = environ
        self._position = 0

    def read(self, depth: int) -> tuple[str, list[str]]:
        """Read to the end of the text, or inside a default to the brace that closes it."""
        if depth > MAX_DEPTH:
            raise MalformedSubstitution(
                f"more than {MAX_DEPTH} defaults are nested in each other", "Use fewer."
            )
        parts: list[str] = []
        missing: list[str] = []
        while self._position < len(self._text):
            character = self._text[self._position]
            if character == "}" and depth:
                return "".join(parts), missing
            self._position += 1
            if character != "$":
                parts.append(character)
                continue
            value, absent = self._after_dollar(depth)
            parts.append(value)
            missing.extend(absent)
        if depth:
            raise MalformedSubstitution("a `${` is not closed", "Add the missing `}`, or write `$${`.")
        return "".join(parts), missing

    def _after_dollar(self, depth: int) -> tuple[str, list[str]]:
        following = self._text[self._position : self._position + 1]
        if following == "$":
            self._position += 1
            return "$", []
        if following == "{":
            self._position += 1
            return self._braces(depth)
        if name := _NAME.match(self._text, self._position):
            raise MalformedSubstitution(
                f"`${name[0]}` has no braces",
                f"Write `${{{name[0]}}}` for the variable, or `$${name[0]}` for the characters.",
            )
        return "$", []

    def _braces(self, depth: int) -> tuple[str, list[str]]:
        name = _NAME.match(self._text, self._position)
        if name is None:
            raise MalformedSubstitution(
                "a `${` is not followed by a variable's name",
                "Write `${NAME}` or `${NAME:-default}`, or `$${` for the characters.",
            )
        self._position = name.end()
        rest = self._text[self._position : self._position + 2]
        value = self._environ.get(name[0])
        if rest.startswith("}"):
            self._position += 1
            return (value, []) if value is not None else ("", [name[0]])
        if rest != ":-":
            raise MalformedSubstitution(
                f"`${{{name[0]}` is followed by neither `}}` nor `:-`",
                f"Write `${{{name[0]}}}` or `${{{name[0]}:-default}}`.",
            )
        self._position += 2
        default, missing = self.read(depth + 1)
        self._position += 1
        return (value, []) if value else (default, missing)
