"""When services.yml is to be read again: on SIGHUP, and when the file changed."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

LOOK_S = 2.0
"""How often the file is looked at; there is no cheaper way that works on every file system."""

State = tuple[int, int, int] | None
"""What changes when a file is written or replaced; None while it is not there."""


async def on_change(file: Path, seen: State, changed: Callable[[], Awaitable[None]]) -> None:
    """Call back whenever the file is no longer as it was seen, until cancelled."""
    while True:
        await anyio.sleep(LOOK_S)
        now = await state_of(file)
        if now is not None and now != seen:
            seen = now
            await changed()


async def on_hangup(changed: Callable[[], Awaitable[None]]) -> None:
    """Call back on each SIGHUP, until cancelled."""
    with anyio.open_signal_receiver(signal.SIGHUP) as signals:
        async for _ in signals:
            await changed()


async def state_of(file: Path) -> State:
    """The file as it is now."""
    try:
        status = await anyio.Path(file).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
