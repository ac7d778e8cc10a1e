"""The log of a daemon that was started on demand: its stdout and stderr, in a file that stays small."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from service_manager.logstream import LossyStream

MOST_BYTES = 1 << 20
"""Of one file. With the one before it, a few days of a busy daemon."""


class OwnLog(LossyStream):
    """Writes to standard error, which is a file, and begins a new one when it is full; one old one is kept.

    Args:
        path: the file.
        most_bytes: of it.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        super().__init__()
        self._path = path
        self._most_bytes = most_bytes

    def write(self, text: str) -> int:
        """Write, if that is possible, to a file that is not full."""
        with suppress(OSError):
            if os.fstat(sys.stderr.fileno()).st_size > self._most_bytes:
                self._begin_anew()
        return super().write(text)

    def _begin_anew(self) -> None:
        self._path.replace(self._path.with_suffix(".log.1"))
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file, stream.fileno())
        os.close(file)


def last_words(path: Path, most_bytes: int) -> str:
    """The end of a log, at most so many bytes of it; empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most_bytes))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""
