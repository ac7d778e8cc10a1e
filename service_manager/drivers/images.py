"""Private directories for services that are written to disk: what is in memory may be secret.

Each belongs to the one process that has locked it. What a killed one has left is removed by the next that
makes one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


class Images:
    """The directory of one service, which is made when it is first needed; its calls may wait for the disk.

    Args:
        base: holds the directories of all services, of this manager and of others.

    Attributes:
        path: where it is, or will be.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._lock: int | None = None
        self.path = base / secrets.token_hex(8)

    def empty(self) -> Path:
        """A directory for the next image, in the place of the one before.

        Raises:
            OSError: it can't be made.
        """
        if self._lock is None:
            self._make()
        image = self.path / "image"
        if image.exists():
            shutil.rmtree(image)
        image.mkdir(mode=0o700)
        return image

    def remove(self) -> None:
        """Remove it with all that it holds; what can't be removed is left to the next manager."""
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    def _make(self) -> None:
        self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Nobody takes a directory for a stale one between its making and its locking.
        with _locked(self._base):
            for other in self._base.iterdir():
                _remove_stale(other)
            self.path.mkdir(mode=0o700)
            self._lock = _open(self.path)
            fcntl.flock(self._lock, fcntl.LOCK_EX)


def _remove_stale(directory: Path) -> None:
    with suppress(OSError):
        held = _open(directory)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(held)


@contextmanager
def _locked(directory: Path) -> Generator[None]:
    held = _open(directory)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _open(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
