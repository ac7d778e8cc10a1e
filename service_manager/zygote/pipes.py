"""Our ends of a child's pipes, as streams of bytes."""

from __future__ import annotations

import os

import anyio
import anyio.abc
import anyio.lowlevel


class PipeEnd:
    """A descriptor that is closed once; who waits for it is told.

    Args:
        descriptor: our end; it belongs to this object and never blocks from here on.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    async def aclose(self) -> None:
        """Close it; a second time without effect."""
        self.close()
        await anyio.lowlevel.checkpoint()

    def close(self) -> None:
        """As `aclose`, at once."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            anyio.notify_closing(descriptor)
            os.close(descriptor)

    def opened(self) -> int:
        """The descriptor.

        Raises:
            anyio.ClosedResourceError: it was closed here.
        """
        if self._descriptor < 0:
            raise anyio.ClosedResourceError
        return self._descriptor


class PipeReader(PipeEnd, anyio.abc.ByteReceiveStream):
    """What a child writes."""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """The next bytes, as soon as there are some.

        Raises:
            anyio.EndOfStream: every writer has closed its end.
            anyio.ClosedResourceError: it was closed here.
        """
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                data = os.read(self.opened(), max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self.opened())
            else:
                if not data:
                    raise anyio.EndOfStream
                return data


class PipeWriter(PipeEnd, anyio.abc.ByteSendStream):
    """What a child reads."""

    async def send(self, item: bytes) -> None:
        """Write all of it, waiting while the pipe is full.

        Raises:
            anyio.BrokenResourceError: nobody reads it any more.
            anyio.ClosedResourceError: it was closed here.
        """
        await anyio.lowlevel.checkpoint()
        rest = memoryview(item)
        while rest:
            try:
                rest = rest[os.write(self.opened(), rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self.opened())
            except BrokenPipeError as error:
                raise anyio.BrokenResourceError from error
