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
    # SQLite can't share a WAL file in a directory it may not write to; `immutable` reads it without sharing.
    for options in ("mode=ro", "mode=ro&immutable=1"):
        try:
            return _read(f"{path.absolute().as_uri()}?{options}", source)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
                return None
        except sqlite3.Error:
            return None
    return None


def _read(uri: str, source: str) -> str | None:
    with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_WAIT_S)) as connection:
        row = connection.execute("SELECT description FROM catalogs WHERE source = ?", (source,)).fetchone()
    return row[0] if row and isinstance(row[0], str) else None
