"""Where log lines go: a stream that loses what it can't write, because nothing may fail for a log line."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TextIO


class LossyStream:
    """Writes to another stream and lets errors pass: a full disk, a reader that has gone.

    Args:
        stream: where to; None for standard error as it is at each line.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if that is possible."""
        with suppress(OSError, ValueError):
            (self._stream or sys.stderr).write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that is possible."""
        with suppress(OSError, ValueError):
            (self._stream or sys.stderr).flush()
