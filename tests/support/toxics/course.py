"""Where a stream of HTTP messages is: at a header block, in a body, how far in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.support.toxics.kinds import Place, Toxic

_BLOCK_END = b"\r\n\r\n"


@dataclass(slots=True)
class Course:
    """One direction of one connection.

    A message begins where the direction of the talk turns, which holds for HTTP/1.1 without pipelining; a
    header block ends with the first empty line.

    Attributes:
        passed: bytes of the current message so far.
        body_from: where its body begins; None while its header block has not ended.
    """

    passed: int = 0
    body_from: int | None = None
    _seen: bytes = b""

    def turn(self) -> None:
        """The next byte begins a new message."""
        self.passed, self.body_from, self._seen = 0, None, b""

    def pieces(self, chunk: bytes, toxics: Sequence[Toxic]) -> Iterator[tuple[bytes, tuple[Toxic, ...]]]:
        """The chunk, cut where toxics begin to act, each piece with those that act on it."""
        self._find_body(chunk)
        end = self.passed + len(chunk)
        starts = {toxic: self._start(toxic) for toxic in toxics}
        cuts = {start for start in starts.values() if start is not None and self.passed < start < end}
        for cut in (*sorted(cuts), end):
            piece, chunk = chunk[: cut - self.passed], chunk[cut - self.passed :]
            at = self.passed
            # Before it is handed out, because the consumer may stop in the middle.
            self.passed = cut
            yield piece, tuple(one for one, start in starts.items() if start is not None and start <= at)

    def _find_body(self, chunk: bytes) -> None:
        if self.body_from is not None:
            return
        self._seen += chunk
        found = self._seen.find(_BLOCK_END)
        if found >= 0:
            self.body_from = found + len(_BLOCK_END)
            self._seen = b""

    def _start(self, toxic: Toxic) -> int | None:
        """The offset in the message from which a toxic acts; None while that is not known."""
        if toxic.place in (Place.CONNECT, Place.HEADERS):
            return 0
        if self.body_from is None:
            return None
        return self.body_from + (toxic.after if toxic.place is Place.MID_STREAM else 0)
