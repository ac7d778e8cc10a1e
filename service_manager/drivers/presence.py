"""Whether a service has a process: one that is on disk has none, and has not ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio


class Back(Protocol):
    """A process that was brought back from disk; see `service_manager.drivers.checkpoint.Checkpoint`."""

    code: int | None

    async def wait(self) -> None:
        """Return when it has ended; its code is known then."""
        ...


class Presence:
    """Where the leader of one service is: running as it was started, on disk, brought back, or lost.

    Attributes:
        away: it is being written, or is on disk.
        lost: it did not come back from there.
    """

    def __init__(self) -> None:
        self.away = False
        self.lost = False
        self._back: Back | None = None
        self._changed = anyio.Event()

    @property
    def absent(self) -> bool:
        """Whether there is no process that could be signalled: its number may be another's."""
        return self.away or self.lost

    def leave(self) -> None:
        """Note that its end is none from now on."""
        self.away = True

    def stay(self) -> None:
        """Note that it was not written after all."""
        self._settle()

    def come_back(self, back: Back) -> None:
        """Note that it runs again."""
        self._back = back
        self._settle()

    def lose(self) -> None:
        """Note that it will not come back."""
        self.lost = True
        self._settle()

    async def exited(self, first: Callable[[], Awaitable[object]]) -> None:
        """Return when it has ended for good.

        Args:
            first: returns when the process that was started has ended, perhaps not before its streams have.
        """
        while not self.lost:
            changed, ended = self._changed, False
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_after, changed, tasks.cancel_scope)
                # Asked while it is away too: its number is free again once its end was told.
                await (first() if self._back is None else self._back.wait())
                # It may have been written and brought back again before this task has its turn.
                if self.away or changed.is_set():
                    await changed.wait()
                else:
                    ended = True
                tasks.cancel_scope.cancel()
            if ended:
                return

    def code(self, first: int | None) -> int | None:
        """How it ended, as `subprocess` has it; None while it runs or is on disk.

        Args:
            first: how the process ended that was started.
        """
        if self.away:
            return None
        return first if self._back is None else self._back.code

    def _settle(self) -> None:
        self.away = False
        self._changed.set()
        self._changed = anyio.Event()


async def _cancel_after(changed: anyio.Event, scope: anyio.CancelScope) -> None:
    await changed.wait()
    scope.cancel()
