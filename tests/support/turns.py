"""Tests that measure time run while no other worker runs a test, and on processors that are there.

A bound on time says something of the code only while the processors are free for it. So every test holds the
room, together with others, and one marked `alone` holds it by itself; whoever waits to enter keeps the door,
so that nobody who comes later goes first. Both are locks of the operating system, which a worker that dies
gives back, on files that are there anyway.

What the host of a virtual machine takes away can't be held off, but it is counted: a test marked `alone` that
failed while this was much is tried again, and reported as such. One that failed on undisturbed processors is
not.
"""

from __future__ import annotations

import fcntl
import gc
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

import pytest

DOOR = Path(__file__)
ROOM = Path(__file__).with_name("__init__.py")

MUCH = 0.05
"""The share of the processors' time from which on a measurement is worth nothing."""

MUCH_S = 0.05
"""Less than this spoils no measurement, and is too near to the ticks it is counted in."""

RETRIES = 2
STAT = Path("/proc/stat")


def is_alone(item: pytest.Item | None) -> bool:
    """Whether a test wants no other beside it."""
    return item is not None and item.get_closest_marker("alone") is not None


def stolen_s() -> float:
    """Seconds the host took from this machine's processors since it started; 0 where that is not told.

    The eighth figure of /proc/stat's first line, in ticks: proc_stat(5), "steal".
    """
    if not STAT.exists():
        return 0.0
    return int(STAT.read_text(encoding="ascii").split()[8]) / os.sysconf("SC_CLK_TCK")


class Turns:
    """The turns one worker takes with the others."""

    def __init__(self) -> None:
        self._door: BinaryIO = DOOR.open("rb")
        self._room: BinaryIO = ROOM.open("rb")
        self._inside = False
        self._began = self._stolen_before = 0.0

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Have tests that are alone tried again where that is fair."""
        for item in filter(is_alone, items):
            item.add_marker(pytest.mark.flaky(reruns=RETRIES, condition=self.were_processors_taken))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Run a test, fixtures included, in the room; stay there from one that is alone to the next."""
        if not self._inside:
            self._enter(alone=is_alone(item))
        try:
            return (yield)
        finally:
            if not (is_alone(item) and is_alone(nextitem)):
                self._leave()

    def pytest_runtest_logstart(self) -> None:
        """Note when a try begins."""
        self._began, self._stolen_before = time.monotonic(), stolen_s()

    def were_processors_taken(self) -> bool:
        """Whether much of the processors' time was taken away since the try began."""
        had_s = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        return stolen_s() - self._stolen_before > max(MUCH_S, MUCH * had_s)

    def _enter(self, *, alone: bool) -> None:
        fcntl.flock(self._door, fcntl.LOCK_EX)
        fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self._door, fcntl.LOCK_UN)
        if alone:
            # Thousands of collected tests take a garbage collection a third of a second to look through.
            gc.collect()
            gc.freeze()
        self._inside = True

    def _leave(self) -> None:
        gc.unfreeze()
        fcntl.flock(self._room, fcntl.LOCK_UN)
        self._inside = False
