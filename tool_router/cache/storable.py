"""Text that came from outside, as both kinds of store can hold it.

A name in a gateway's JSON may hold halves of characters (lone surrogates) or zero bytes; neither SQLite's
client nor PostgreSQL takes them all.
"""

from __future__ import annotations

import re

_ESCAPED = "\x01"
"""Starts text that is written as hexadecimal digits; nothing else begins with a control character."""
_UNSTORABLE = re.compile("^\x01|[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """The text as it is stored: itself, unless a store could not hold it. Different texts stay different."""
    if _UNSTORABLE.search(text) is None:
        return text
    return _ESCAPED + text.encode(errors="surrogatepass").hex()


def original(stored: str) -> str:
    """The text that `storable` was given."""
    if not stored.startswith(_ESCAPED):
        return stored
    try:
        return bytes.fromhex(stored[1:]).decode(errors="surrogatepass")
    except ValueError:
        return stored


def legible(text: str) -> str:
    """The text without what a store can't hold, for words that are only shown; read without `original`."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")
