"""What a service writes to stderr: the last lines, bounded, over all of its runs."""

from __future__ import annotations

from collections import deque

LINES = 1_000
"""How many of a service's last lines are kept."""

LINE_CHARACTERS = 500
"""What is kept of a longer line."""


class Journal:
    """The last lines of one service, oldest first; a new run adds to them.

    Attributes:
        written: how many lines were ever added; what a reader who follows has seen is told by it.
    """

    def __init__(self, lines: int = LINES) -> None:
        self._lines: deque[str] = deque(maxlen=lines)
        self.written = 0

    def add(self, line: str) -> None:
        """Keep a line, without its end; empty ones are not kept."""
        text = line.strip()
        if text:
            self._lines.append(text[:LINE_CHARACTERS])
            self.written += 1

    def tail(self, count: int) -> tuple[str, ...]:
        """The last lines, at most so many."""
        return tuple(self._lines)[-count:] if count > 0 else ()

    def since(self, written: int) -> tuple[str, ...]:
        """The lines that were added since `written` stood at this value, as far as they are kept."""
        return self.tail(self.written - written)
