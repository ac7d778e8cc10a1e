"""Text that a tool's server wrote, made fit to be shown: nothing hidden in it, and not too long.

What a server says about its tools reaches a person's terminal and a model's prompt, and its author may wish
to steer either.
"""

from __future__ import annotations

import unicodedata

_ELLIPSIS = "…"
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode general categories without a visible shape: controls, formats (bidirectional overrides, zero-width
characters, tags), surrogates, private use, unassigned, line and paragraph separators."""

_LAYOUT = frozenset("\t\n\r")
_SHAPING = frozenset("\u00ad\u200c\u200d\ufeff")
"""Soft hyphen, zero-width non-joiner and joiner, byte-order mark: ordinary in Persian and Indic text, emoji
sequences and files saved on Windows. Removed where text is shown, but no ground for suspicion."""


def plain(text: str, limit: int) -> str:
    """The text on one line without hidden characters, cut to `limit` characters with an ellipsis."""
    # A text can be megabytes; four times the limit leaves enough for what is dropped.
    visible = "".join(
        " " if character in _LAYOUT else character
        for character in text[: 4 * limit + 64]
        if character in _LAYOUT or unicodedata.category(character) not in _HIDDEN_CATEGORIES
    )
    line = " ".join(visible.split())
    if len(line) <= limit:
        return line
    return line[: limit - 1].rstrip() + _ELLIPSIS


def hidden_characters(text: str) -> tuple[str, ...]:
    """The distinct characters a reader can't see and that ordinary writing does not need, as ``U+XXXX``."""
    found = {
        character
        for character in text
        if character not in _LAYOUT
        and character not in _SHAPING
        and unicodedata.category(character) in _HIDDEN_CATEGORIES
    }
    return tuple(f"U+{ord(character):04X}" for character in sorted(found))
