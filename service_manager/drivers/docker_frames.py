"""Takes apart the stream of an attached container: its stdout and stderr, in frames.

A frame is one byte for the stream (1 stdout, 2 stderr), three of nothing, four for the size (big-endian), and
so many bytes; see "Stream format" at `ContainerAttach` of the Docker Engine API.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

HEADER = 8
"""Bytes before the data of a frame."""


class Channel(IntEnum):
    """Where data came from; SYSTEM is the engine's own complaint."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    SYSTEM = 3


class NotFrames(ValueError):
    """The stream is not in frames, as that of a container with a terminal isn't."""


class Demultiplexer:
    """Tells the streams apart, however the bytes are cut; data is passed on before its frame is complete."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._channel = Channel.STDOUT
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[Channel, bytes]]:
        """The data in these bytes, in order, never empty. Exhaust it before the next call.

        Raises:
            NotFrames: this is no header where one has to be.
        """
        at = 0
        while at < len(data):
            if self._left:
                part = data[at : at + self._left]
                at += len(part)
                self._left -= len(part)
                yield self._channel, part
                continue
            wanted = HEADER - len(self._head)
            self._head += data[at : at + wanted]
            at += wanted
            if len(self._head) == HEADER:
                self._channel, self._left = _read(bytes(self._head))
                self._head.clear()


def _read(head: bytes) -> tuple[Channel, int]:
    if head[0] > Channel.SYSTEM or any(head[1:4]):
        raise NotFrames(f"{head!r} is not the head of a frame.")
    return Channel(head[0]), int.from_bytes(head[4:], "big")
