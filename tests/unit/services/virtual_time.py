"""An event loop that runs only while it is called, and whose time passes only when it is told to.

Trio as a guest of the test: nothing happens between two calls, so that the same calls always lead to the same
interleaving, which Hypothesis needs to replay and shrink what it found. A loop in a thread spins as it likes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from queue import SimpleQueue

import trio
import trio.testing


class VirtualTime:
    """A trio loop with a clock of its own; everything in it has ended when `close` returns."""

    def __init__(self) -> None:
        self.clock = trio.testing.MockClock()
        self._ready: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._ended: list[object] = []
        self._nursery: trio.Nursery | None = None
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._ready.put,
            done_callback=self._ended.append,
            clock=self.clock,
        )
        self._run_until(lambda: self._nursery is not None)

    def now(self) -> float:
        """Seconds of its clock."""
        return self.clock.current_time()

    def start(self, function: Callable[[], Awaitable[None]]) -> None:
        """Run a function in the loop, whenever that is called."""
        assert self._nursery is not None
        self._nursery.start_soon(function)

    def call(self, function: Callable[[], Awaitable[object]]) -> None:
        """Run a function in the loop until it returns; an exception of its own is raised here."""
        assert self._nursery is not None
        returned: list[BaseException | None] = []

        async def run() -> None:
            try:
                await function()
            except Exception as error:  # noqa: BLE001  # handed to who called
                returned.append(error)
            else:
                returned.append(None)

        self._nursery.start_soon(run)
        self._run_until(lambda: bool(returned))
        if error := returned[0]:
            raise error

    async def settle(self) -> None:
        """Wait until everybody waits for something."""
        await trio.testing.wait_all_tasks_blocked()

    async def pass_time(self, seconds: float) -> None:
        """Go from deadline to deadline: what happens at different times does not happen at once."""
        await self.settle()
        until = self.now() + seconds
        while self.now() < until:
            next_s = trio.lowlevel.current_statistics().seconds_to_next_deadline
            self.clock.jump(min(until - self.now(), max(next_s, 0.0)))
            await self.settle()

    def close(self) -> None:
        """Cancel what still runs, and let time pass for what that takes."""
        assert self._nursery is not None
        self.clock.autojump_threshold = 0.0
        self._nursery.cancel_scope.cancel()
        self._run_until(lambda: bool(self._ended))

    def _run_until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._ready.get()()

    async def _main(self) -> None:
        async with trio.open_nursery() as self._nursery:
            await trio.sleep_forever()
