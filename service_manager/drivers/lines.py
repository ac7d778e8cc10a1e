"""Lines out of a stream of bytes, bounded."""

from __future__ import annotations

import anyio
import anyio.abc

LINE_LIMIT = 64 * 1024 * 1024
"""A longer line can't be a message anybody meant; what has arrived of it is thrown away."""


class Lines:
    """Iterates over the lines of a byte stream; ends when the stream ends or breaks."""

    def __init__(self, stream: anyio.abc.ByteReceiveStream, limit: int = LINE_LIMIT) -> None:
        self._stream = stream
        self._limit = limit
        self._ready: list[bytes] = []
        self._rest: list[bytes] = []
        self._size = 0

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> bytes:
        while not self._ready:
            try:
                chunk = await self._stream.receive(65536)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                raise StopAsyncIteration from None
            self._take(chunk)
        return self._ready.pop()

    def _take(self, chunk: bytes) -> None:
        head, *lines = chunk.split(b"\n")
        self._rest.append(head)
        self._size += len(head)
        if self._size > self._limit:
            self._rest.clear()
            self._size = 0
        if not lines:
            return
        whole = [b"".join(self._rest), *lines[:-1]]
        self._rest, self._size = [lines[-1]], len(lines[-1])
        self._ready = whole[::-1]
