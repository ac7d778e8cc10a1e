"""Tests that measure time run while no other worker runs a test.

A bound on time says something of the code only while the processors are free for it. So every test holds the
room, together with others, and one marked `alone` holds it by itself; whoever waits to enter keeps the door,
so that nobody who comes later goes first. Both are locks of the operating system, which a worker that dies
gives back, on files that are there anyway.
"""

from __future__ import annotations

import fcntl
import gc
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

import pytest

DOOR = Path(__file__)
ROOM = Path(__file__).with_name("__init__.py")


def is_alone(item: pytest.Item | None) -> bool:
    """Whether a test wants no other beside it."""
    return item is not None and item.get_closest_marker("alone") is not None


class Turns:
    """The turns one worker takes with the others."""

    def __init__(self) -> None:
        self._door: BinaryIO = DOOR.open("rb")
        self._room: BinaryIO = ROOM.open("rb")
        self._inside = False

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
