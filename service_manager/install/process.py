"""Installers as child processes: output to a log file, the whole process group killed when it is given up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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
        process = await _start(argv, environ, cwd, stdout=output, stderr=subprocess.STDOUT)
    try:
        return await _wait(process, tick)
    finally:
        if process.returncode is None:
            _kill_group(process.pid)
            with anyio.CancelScope(shield=True):
                await process.wait()


@dataclass(frozen=True, slots=True)
class Said:
    """What a child that was run to its end wrote, as text, and its exit code."""

    code: int
    output: str
    errors: str


async def ask(argv: Sequence[str], *, environ: Mapping[str, str], timeout_s: float) -> Said:
    """Run a child whose answer is short, with an empty stdin. When this call ends, the whole group is killed.

    Raises:
        OSError: the child can't be started.
        TimeoutError: it took too long.
    """
    process = await _start(argv, environ, None, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors = bytearray(), bytearray()
    try:
        with anyio.fail_after(timeout_s):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_collect, process.stdout, output)
                tasks.start_soon(_collect, process.stderr, errors)
            await process.wait()
    finally:
        # What it started may hold its streams open after it has ended.
        _kill_group(process.pid)
        with anyio.CancelScope(shield=True):
            await process.aclose()
    assert process.returncode is not None
    return Said(process.returncode, output.decode(errors="replace"), errors.decode(errors="replace"))


async def _start(
    argv: Sequence[str],
    environ: Mapping[str, str],
    cwd: Path | None,
    *,
    stdout: int | IO[bytes],
    stderr: int,
) -> anyio.abc.Process:
    # Cancelled in the middle, the child would be killed, and what it had started by then would go on.
    started: list[anyio.abc.Process] = []
    with anyio.CancelScope(shield=True):
        started.append(
            await anyio.open_process(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env=dict(environ),
                start_new_session=True,
            )
        )
    return started[0]


async def _collect(stream: anyio.abc.ByteReceiveStream, into: bytearray) -> None:
    async for chunk in stream:
        into += chunk


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


def log_text(log: Path) -> str:
    """A whole log; empty when there is none."""
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def log_tail(log: Path) -> str:
    """The last lines of a log, indented, without credentials in addresses; empty when there are none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(f"  {without_credentials(line)}" for line in lines[-TAIL_LINES:])


def without_credentials(line: str) -> str:
    """A line of an installer as it may be shown: addresses without user and password."""
    return _CREDENTIALS.sub("***@", line)
