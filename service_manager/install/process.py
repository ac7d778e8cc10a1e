"""Installers as child processes: output to a log file, the whole process group killed when it is given up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import anyio
import anyio.abc

TICK_S = 1.0
"""Time between two signs of life; many clients give up on a call that shows none for some seconds."""

TAIL_LINES = 15
TAIL_BYTES = 16_384

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")

Tick = Callable[[float], Awaitable[None]]
"""Told the seconds a child has run, once every `TICK_S`."""


async def run_logged(
    argv: Sequence[str], *, cwd: Path, environ: Mapping[str, str], log: Path, tick: Tick
) -> int:
    """Run a child to its end and return its exit code; its output is added to `log`, its stdin is empty.

    When this call is cancelled, the child and everything it started are killed before it returns.

    Raises:
        OSError: the child can't be started, or the log can't be written.
    """
    with log.open("ab") as output:
        process = await anyio.open_process(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(environ),
            start_new_session=True,
        )
    try:
        return await _wait(process, tick)
    finally:
        if process.returncode is None:
            _kill_group(process.pid)
            with anyio.CancelScope(shield=True):
                await process.wait()


async def _wait(process: anyio.abc.Process, tick: Tick) -> int:
    started = time.monotonic()
    while True:
        with anyio.move_on_after(TICK_S):
            return await process.wait()
        await tick(time.monotonic() - started)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def log_tail(log: Path) -> str:
    """The last lines of a log, indented, without credentials in addresses; empty when there are none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(f"  {_CREDENTIALS.sub('***@', line)}" for line in lines[-TAIL_LINES:])
