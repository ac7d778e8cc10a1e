"""Installers as child processes: output to a log file, killed with all they started when given up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import anyio
import anyio.abc
import anyio.to_thread

from service_manager.drivers.guardian import Guardian

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

    When this call ends, by cancellation too, everything the child started is killed before it returns.

    Raises:
        OSError: the child can't be started, or the log can't be written.
    """
    with log.open("ab") as output:
        async with _running(argv, environ, cwd, stdout=output, stderr=subprocess.STDOUT) as process:
            return await _wait(process, tick)


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
    output, errors = bytearray(), bytearray()
    async with _running(argv, environ, None, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        with anyio.fail_after(timeout_s):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_collect, process.stdout, output)
                tasks.start_soon(_collect, process.stderr, errors)
            code = await process.wait()
    return Said(code, output.decode(errors="replace"), errors.decode(errors="replace"))


@asynccontextmanager
async def _running(
    argv: Sequence[str],
    environ: Mapping[str, str],
    cwd: Path | None,
    *,
    stdout: int | IO[bytes],
    stderr: int,
) -> AsyncGenerator[anyio.abc.Process]:
    """A child in a group of its own, killed with all it started when the block is left.

    A watchdog ends it when this process is killed: an installer that went on would write into a directory
    which the next installation removes.
    """
    guardian = Guardian()
    started: list[anyio.abc.Process] = []
    try:
        # Cancelled in the middle, the child would be killed, and what it had started by then would go on.
        with anyio.CancelScope(shield=True):
            started.append(
                await anyio.open_process(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    cwd=cwd,
                    env={**environ, **guardian.guard_marked(Path(argv[0]).name)},
                    start_new_session=True,
                )
            )
        guardian.guard(started[0].pid)
        yield started[0]
    finally:
        with anyio.CancelScope(shield=True):
            for process in started:
                # What it started may hold its streams open after it has ended.
                _kill_group(process.pid)
                await process.aclose()
            await anyio.to_thread.run_sync(guardian.close)


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
