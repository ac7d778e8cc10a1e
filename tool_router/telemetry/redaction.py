"""Take secrets out of what is logged. Pure.

A secret shows itself in three ways: by the key it is filed under (``token``, ``Authorization``, ``apiKey``),
by its form (a bearer header, a JWT, a key with a vendor's prefix, a password inside a URL), and by its value,
when the caller knows it (the environment variables that services need). Counts such as ``tokens=12`` stay:
numbers, booleans and None are never secrets.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

REDACTED: Final = "[redacted]"
"""What stands in the place of a secret."""

TEXT_LIMIT: Final = 2_000
"""Characters of one logged text; a task may be a megabyte, and a log line must not be."""

DEPTH_LIMIT: Final = 6
"""Levels of nested containers that are walked; what lies deeper is replaced whole."""

SHORTEST_SECRET: Final = 6
"""Known values shorter than this are left alone: hiding every "1" or "true" would hide the log itself."""

_KEY: Final = re.compile(
    r"(?:^|_)(?:token|auth|authorization|password|passwd|passphrase|pwd|secret|credential|cookie|jwt"
    r"|api_?key|access_?key|private_?key|signing_?key|client_?secret)s?(?:_|$)"
)
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")

_FORMS: Final = (
    # An Authorization value: the scheme may stay, what follows it may not.
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {REDACTED}"),
    # RFC 7519: three base64url parts, of which the first starts with the encoding of '{"'.
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*"), REDACTED),
    # RFC 3986 userinfo with a password.
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), REDACTED),
    # Keys that name their vendor: OpenAI and Anthropic, GitHub, GitLab, Slack, AWS, Google.
    (
        re.compile(
            r"\b(?:sk-[A-Za-z0-9_-]{16,}|gh[opsur]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"
            r"|glpat-[A-Za-z0-9_-]{16,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|AKIA[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,})"
        ),
        REDACTED,
    ),
    # key=value, key: value and "key": "value" inside a text, for the keys that are secret without doubt.
    (
        re.compile(
            r"(?i)(\b(?:[a-z0-9]+[_-])*(?:token|password|passwd|secret|api[_-]?key|access[_-]?key)"
            r"[\"']?\s*[=:]\s*[\"']?)(?!\[redacted\])[^\s\"'&,;}]{4,}"
        ),
        rf"\1{REDACTED}",
    ),
)


def is_secret_key(key: str) -> bool:
    """Whether values filed under this key are secrets: ``token``, ``X-Api-Key``, ``clientSecret``."""
    return _KEY.search(_SEPARATORS.sub("_", _HUMP.sub("_", key).lower())) is not None


def secret_values(environ: Mapping[str, str]) -> frozenset[str]:
    """The values of an environment's variables whose names say that they are secret."""
    return frozenset(
        value for name, value in environ.items() if is_secret_key(name) and len(value) >= SHORTEST_SECRET
    )


class Redactor:
    """Replaces secrets in texts and in nested values. Immutable; one serves every thread."""

    __slots__ = ("_known",)

    def __init__(self, known: Collection[str] = ()) -> None:
        # Longest first, so that a secret which contains another one is replaced whole.
        values = sorted((value for value in known if len(value) >= SHORTEST_SECRET), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, values))) if values else None

    def text(self, text: str) -> str:
        """Replace every secret in a text, then shorten it to `TEXT_LIMIT` characters."""
        # Cut generously before searching: the patterns must not read a megabyte, nor miss a secret that
        # the final cut would split in two and so make unrecognisable.
        head = text[: 2 * TEXT_LIMIT]
        if self._known is not None:
            head = self._known.sub(REDACTED, head)
        for pattern, replacement in _FORMS:
            head = pattern.sub(replacement, head)
        if len(text) <= TEXT_LIMIT:
            return head
        return f"{head[:TEXT_LIMIT]}... ({len(text)} characters)"

    def value(self, value: object, depth: int = 0) -> Any:
        """Replace every secret in a value; what is not JSON becomes its text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if depth >= DEPTH_LIMIT:
            return "..."
        if isinstance(value, Mapping):
            return self.fields(cast("Mapping[object, object]", value), depth + 1)
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item, depth + 1) for item in cast("Collection[object]", value)]
        return self.text(_described(value))

    def fields(self, fields: Mapping[Any, object], depth: int = 0) -> dict[str, Any]:
        """Replace every secret in a mapping, by key and by value."""
        return {
            str(key): REDACTED
            if is_secret_key(str(key)) and not _is_plain(value)
            else self.value(value, depth)
            for key, value in fields.items()
        }


def _is_plain(value: object) -> bool:
    """Whether a value can't be a secret: nothing, a number, a truth value, or an empty text."""
    return value is None or value == "" or isinstance(value, bool | int | float)


def _described(value: object) -> str:
    """The text of an object that JSON does not know."""
    return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else repr(value)
