"""Who wants a service now: leases, wakes ahead of a call, and what a person told it to do."""

from __future__ import annotations

from collections.abc import Callable

import anyio


class Demand:
    """What is wanted of one service; changes wake whoever waits for one.

    Args:
        clock: monotonic seconds.

    Attributes:
        leases: requests that hold the service.
        idle_since: when the last lease ended; None before the first one ends.
        stop: it is to stop now.
        occupied: how many requests it has that nobody holds a lease for.
        hurried: who asked it to sleep waits for its room.
        wake: it is to wake although nobody holds it yet.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changed = anyio.Event()
        self.leases = 0
        self.idle_since: float | None = None
        self.stop = False
        self.wake = False
        self.occupied = 0
        self.hurried = False
        self._bedtime: anyio.Event | None = None

    @property
    def awake(self) -> bool:
        """Whether a sleeping service has to wake, be it only to stop."""
        return bool(self.leases) or self.wake or self.stop

    def hold(self) -> None:
        """Take a lease."""
        self.leases += 1
        # What was said of an idle service is overtaken.
        self.slept()
        self.notify()

    def release(self) -> None:
        """Give a lease back; idle time counts from the last one."""
        self.leases -= 1
        self.idle_since = self._clock()
        self.notify()

    @property
    def sleep_asked(self) -> bool:
        """Whether it is to sleep now, if nobody holds it."""
        return self._bedtime is not None

    def ask_to_sleep(self, *, hurried: bool = False) -> anyio.Event:
        """Ask for sleep now; the event is set once it sleeps, or will not.

        Args:
            hurried: somebody waits for its room, so that there is no time to try tiers out.
        """
        self.hurried = hurried
        if self._bedtime is None:
            self._bedtime = anyio.Event()
        self.notify()
        return self._bedtime

    def slept(self) -> None:
        """Whoever asked for sleep has had it, or waits in vain."""
        if self._bedtime is not None:
            self._bedtime.set()
            self._bedtime = None

    def notify(self) -> None:
        """Wake whoever waits for a change."""
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def change(self, until: float | None = None) -> None:
        """Return at the next change, or at this time of the clock."""
        changed = self._changed
        with anyio.move_on_after(float("inf") if until is None else max(0.0, until - self._clock())):
            await changed.wait()
