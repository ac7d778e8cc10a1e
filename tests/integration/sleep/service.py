"""A running `counter.py`: asked over its standard streams, looked at through /proc."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc

from service_manager.drivers.lines import Lines
from service_manager.linux import procfs
from service_manager.linux.members import members
from service_manager.linux.usage import resident


class Counter:
    """A counter that runs as a leader of its own session, as services do."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin = process.stdin
        self._lines = Lines(process.stdout)
        self.process = process
        self.pid = process.pid

    @classmethod
    @asynccontextmanager
    async def started(cls, argv: Sequence[str]) -> AsyncGenerator[Counter]:
        """Run one until the block is left."""
        async with await anyio.open_process(argv, start_new_session=True) as process:
            counter = cls(process)
            try:
                assert await counter.answer() == "ready"
                yield counter
            finally:
                for member in members(process.pid):
                    with suppress(ProcessLookupError):
                        os.kill(member.pid, signal.SIGKILL)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    async def tell(self, word: str) -> None:
        """Write one line."""
        await self._stdin.send(f"{word}\n".encode())

    async def answer(self) -> str:
        """Read one line."""
        with anyio.fail_after(10):
            return (await anext(self._lines)).decode().strip()

    async def ask(self, word: str) -> str:
        """Write one line and read the answer."""
        await self.tell(word)
        return await self.answer()

    def states(self) -> set[str]:
        """The states of all of its processes."""
        return {member.state for member in members(self.pid)}

    def ticks(self) -> int:
        """The processor time of all of its processes, in clock ticks."""
        return sum(member.ticks for member in members(self.pid))

    def resident(self) -> int:
        """Bytes of all of its processes that are in memory."""
        return sum(resident(member.pid) for member in members(self.pid))


def state(pid: int) -> str:
    """The state of one process; empty when it is gone."""
    found = procfs.stat(pid)
    return found.state if found else ""
