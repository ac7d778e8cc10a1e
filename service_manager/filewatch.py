"""When files are to be read again: on SIGHUP, and when one of them changed."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import anyio
import anyio.abc
import structlog

LOOK_S = 2.0
"""How often the files are looked at; there is no cheaper way that works on every file system."""

State = tuple[tuple[Path, int, int, int], ...] | None
"""What changes when a file is written or replaced, or another one counts; None while one is not there."""

Files = Callable[[], Sequence[Path]]
"""The files that count now."""


async def on_change(files: Files, seen: State, changed: Callable[[], Awaitable[None]]) -> None:
    """Call back whenever the files are no longer as they were seen, until cancelled."""
    while True:
        await anyio.sleep(LOOK_S)
        now = await state_of(files())
        if now is not None and now != seen:
            seen = now
            await changed()


async def on_hangup(
    changed: Callable[[], Awaitable[None]],
    *,
    task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Call back on each SIGHUP, until cancelled; started once one is heard.

    Returns where none can be: on a system that has none, and outside of the main thread, which alone signals
    reach.
    """
    hangup = getattr(signal, "SIGHUP", None)
    with ExitStack() as stack:
        try:
            signals = stack.enter_context(anyio.open_signal_receiver(hangup)) if hangup is not None else None
        except (RuntimeError, ValueError, NotImplementedError) as error:
            structlog.get_logger().debug("no_reload_on_signal", reason=str(error))
            signals = None
        task_status.started()
        if signals is not None:
            async for _ in signals:
                await changed()


async def state_of(files: Sequence[Path]) -> State:
    """Files as they are now."""
    states: list[tuple[Path, int, int, int]] = []
    for file in files:
        try:
            status = await anyio.Path(file).stat()
        except OSError:
            return None
        states.append((file, status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(states)
