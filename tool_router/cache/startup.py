"""The one thing a start needs from the store, read without waiting for anything else.

Imports nothing but sqlite3: it runs before the first answer to a client.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_LOCK_WAIT_S = 0.05


def read_description(path: Path, source: str) -> str | None:
    """The stored description of ``execute_task`` for a gateway, or None when there is none to be had.

    Opens the file read-only, reads one row and closes it, in a few milliseconds; a missing, locked, corrupt
    or foreign file is None, because the store proper says what is wrong with it soon after.

    Args:
        path: the store's file.
        source: the gateway's key.
    """
    if not path.is_file():
        return None
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_WAIT_S)) as connection:
            row = connection.execute(
                "SELECT description FROM catalogs WHERE source = ?", (source,)
            ).fetchone()
    except sqlite3.Error:
        return None
    return row[0] if row and isinstance(row[0], str) else None
