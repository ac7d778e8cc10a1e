"""Managed directories: made beside their place and renamed into it, by one process at a time."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

POLL_S = 0.1
"""How often a lock that another process holds is tried again."""

WAITING_MESSAGE_S = 1.0


@asynccontextmanager
async def exclusive(lock: Path, waiting: Callable[[float], Awaitable[None]]) -> AsyncGenerator[None]:
    """Hold an advisory file lock; the system drops it when the holder dies.

    Args:
        lock: the lock's file, made when it is not there and never removed.
        waiting: told the seconds waited so far, about once a second, while another one holds it.

    Raises:
        OSError: the file can't be made.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        waited = said = 0.0
        while not _try_lock(descriptor):
            await anyio.sleep(POLL_S)
            waited += POLL_S
            if waited - said >= WAITING_MESSAGE_S:
                said = waited
                await waiting(waited)
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def replacing(target: Path) -> AsyncGenerator[Path]:
    """Give an empty directory that takes the place of `target` when the block ends well.

    Whatever ends the block otherwise, cancellation too, leaves `target` as it was and nothing beside it. What
    a killed process left is removed first. The caller holds the lock of `target`.

    Raises:
        OSError: a directory can't be made or moved.
    """
    scratch = target.parent / f".new-{target.name}-{secrets.token_hex(4)}"
    try:
        await anyio.to_thread.run_sync(_prepare, target, scratch)
        yield scratch
        await anyio.to_thread.run_sync(_move_in, scratch, target)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_remove, scratch)


async def remove(target: Path) -> bool:
    """Remove a managed directory; False when there is none. The caller holds its lock."""
    return await anyio.to_thread.run_sync(_retire, target)


def leftovers(target: Path) -> list[Path]:
    """What installations of `target` that were killed left beside it."""
    prefixes = (f".new-{target.name}-", f".old-{target.name}-")
    if not target.parent.is_dir():
        return []
    return [
        path
        for path in target.parent.iterdir()
        # The random part holds no hyphen, so that `a-1` does not claim what belongs to `a-1-x`.
        if any(path.name.startswith(prefix) and "-" not in path.name[len(prefix) :] for prefix in prefixes)
    ]


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _prepare(target: Path, scratch: Path) -> None:
    for path in leftovers(target):
        _remove(path)
    scratch.mkdir(parents=True)


def _move_in(scratch: Path, target: Path) -> None:
    _retire(target)
    scratch.rename(target)


def _retire(target: Path) -> bool:
    """Take a directory out of its place at once, then delete it."""
    retired = target.parent / f".old-{target.name}-{secrets.token_hex(4)}"
    try:
        target.rename(retired)
    except FileNotFoundError:
        return False
    _remove(retired)
    return True


def _remove(path: Path) -> None:
    # A killed installer's children may still write into it; the next installation removes what is left.
    shutil.rmtree(path, ignore_errors=True)
