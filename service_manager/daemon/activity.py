"""Whether the daemon is used: requests under way, and how long there have been none."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio


class Activity:
    """Counts what is under way; open streams count as well.

    Attributes:
        calls: requests under way that end by themselves; streams are not among them.
    """

    def __init__(self) -> None:
        self.calls = 0
        self._streams = 0
        self._changed = anyio.Event()

    @contextmanager
    def request(self, *, stream: bool) -> Generator[None]:
        """A request is under way for the time of the block."""
        self._count(1, stream=stream)
        try:
            yield
        finally:
            self._count(-1, stream=stream)

    async def calls_done(self) -> None:
        """Return when no request is under way but streams."""
        while self.calls:
            await self._changed.wait()

    async def unused(self, idle_s: float, leased: Callable[[], bool]) -> None:
        """Return when there has been no request, no open stream and no lease for so long.

        Args:
            idle_s: seconds.
            leased: whether any service is held, whoever holds it; asked once the time is over.
        """
        while True:
            changed = self._changed
            limit_s = float("inf") if self.calls or self._streams else idle_s
            with anyio.move_on_after(limit_s) as waited:
                await changed.wait()
            if waited.cancelled_caught and not leased():
                return

    def _count(self, step: int, *, stream: bool) -> None:
        if stream:
            self._streams += step
        else:
            self.calls += step
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
