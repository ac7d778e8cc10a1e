"""A service that is a child process; see `service_manager.drivers.protocol.Running`."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress

import anyio
import anyio.abc
import structlog
from anyio import to_thread
from mcp.client._transport import Transport

from service_manager.drivers.checkpointing import Checkpointed, CheckpointingSleeper, Checkpoints
from service_manager.drivers.lines import Lines
from service_manager.drivers.presence import Presence
from service_manager.drivers.protocol import Sleeper
from service_manager.drivers.sleeping import ProcessSleeper
from service_manager.drivers.stdio import stdio_streams
from service_manager.enforce.enforcer import Enforcer
from service_manager.errors import SleepFailed
from service_manager.journal import Journal
from service_manager.linux.capabilities import Capabilities
from service_manager.linux.members import members
from service_manager.linux.usage import usage
from service_manager.model import Tier
from service_manager.resources import Limits, MemoryUse, ResourceUse

STDERR_LINES = 20
"""How many of a service's last stderr lines go into error messages."""

LAST_WORDS_S = 0.1
"""How long the end of the stderr of a service that has ended is waited for."""

LINE_LIMIT = 64 * 1024
"""A longer line of stderr is thrown away: nobody wants to read it, and it would take our memory."""


class ProcessService:
    """A running child process.

    Args:
        name: the service.
        process: its leader.
        journal: takes what it writes to stderr.
        machine: what this machine lets it sleep with.
        enforcer: holds it to its limits; None for nobody.
        checkpoints: writes it to disk; None for one that does not ask for that.
        mark: what the environment of everything that belongs to it holds.
    """

    def __init__(
        self,
        name: str,
        process: anyio.abc.Process,
        journal: Journal,
        machine: Capabilities,
        enforcer: Enforcer | None,
        checkpoints: Checkpoints | None = None,
        mark: Mapping[str, str] | None = None,
    ) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._name = name
        self._process = process
        self._journal = journal
        self._before = journal.written
        self._machine = machine
        self._enforcer = enforcer
        self._checkpoints = checkpoints
        self._checkpointing: CheckpointingSleeper | None = None
        self._presence = Presence()
        self._mark = mark or {}
        self._ended = anyio.Event()
        self._heard = anyio.Event()
        self._writing = anyio.Lock()
        self._sleeper: Sleeper | None = None
        self._log = structlog.get_logger().bind(service=name)
        self.pid: int | None = process.pid
        self.transport: Transport = stdio_streams(name, process.stdin, process.stdout, self._writing)
        self.enforced: Mapping[str, str] = {}

    @property
    def sleeper(self) -> Sleeper:
        """How it sleeps; its control group is known by the time somebody asks."""
        if self._sleeper is None:
            group = None if self._enforcer is None else self._enforcer.group_of(self._name)
            leader = ProcessSleeper(self._process.pid, self._machine, group=group)
            self._sleeper = QuietSleeper(leader, self._writing)
            if self._checkpoints is not None:
                itself = Checkpointed(
                    self._name, self._process.pid, self._mark, self._writing, self._presence
                )
                self._checkpointing = CheckpointingSleeper(itself, self._sleeper, self._checkpoints)
                self._sleeper = self._checkpointing
        return self._sleeper

    @property
    def absent(self) -> bool:
        """Whether it is on disk, or did not come back: its number may be another process's."""
        return self._presence.absent

    async def wait(self) -> None:
        """Return when the process has ended."""
        await self._ended.wait()

    async def exited(self) -> None:
        """Return when the process has ended, whatever it said; one on disk has not."""
        await self._presence.exited(self._process.wait)

    def last_words(self) -> tuple[str, ...]:
        """Its last stderr lines, oldest first."""
        return self._journal.since(self._before)[-STDERR_LINES:]

    def ending(self) -> str:
        """How the process ended, and by which limit if it was one; empty while it runs."""
        if self._presence.lost:
            return "it did not come back from disk"
        code = self._presence.code(self._process.returncode)
        if code is None:
            return ""
        ending = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if self._enforcer is None:
            return ending
        return self._enforcer.explain_ending(self._name, ending, self.last_words()) or ending

    async def usage(self) -> ResourceUse:
        """What it uses now, without waking it."""
        if self.absent:
            return ResourceUse(0.0, MemoryUse(0), processes=0)
        leader = self._process.pid
        return await to_thread.run_sync(lambda: usage([process.pid for process in members(leader)]))

    async def health(self) -> str:
        """Nothing: a process is asked, not looked at."""
        return ""

    async def resume(self) -> None:
        """Let it run, asleep or not, so that it can end."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGCONT)
        with suppress(SleepFailed):
            await self.sleeper.wake()

    async def forget(self) -> None:
        """Remove what it has on disk."""
        if self._checkpointing is not None:
            await self._checkpointing.close()

    async def enforce(self, limits: Limits) -> None:
        """Hold it to its limits."""
        if self._enforcer is not None:
            self.enforced = await to_thread.run_sync(
                self._enforcer.apply, self._process.pid, self._name, limits
            )

    async def follow_stderr(self) -> None:
        """Keep its last stderr lines, and never let it wait for a reader."""
        assert self._process.stderr is not None
        await self._follow(self._process.stderr)
        self._heard.set()

    async def follow_stdout(self) -> None:
        """Treat its standard output as its stderr: it speaks MCP elsewhere."""
        assert self._process.stdout is not None
        await self._follow(self._process.stdout)

    async def follow_exit(self) -> None:
        """Notice the end of the process, and what it said last."""
        await self.exited()
        # What it has left behind may hold its stderr open.
        with anyio.move_on_after(LAST_WORDS_S):
            await self._heard.wait()
        self._ended.set()

    async def _follow(self, stream: anyio.abc.ByteReceiveStream) -> None:
        async for line in Lines(stream, LINE_LIMIT):
            self._journal.add(line.decode(errors="replace"))


class QuietSleeper:
    """Falls asleep between two lines only; see `service_manager.drivers.protocol.Sleeper`.

    Args:
        sleeper: puts the processes to sleep.
        writing: held while a line is being written to them.
    """

    def __init__(self, sleeper: ProcessSleeper, writing: anyio.Lock) -> None:
        self._sleeper = sleeper
        self._writing = writing
        self.tiers: tuple[Tier, ...] = sleeper.tiers
        self.missing = sleeper.missing

    async def sleep(self, tier: Tier) -> None:
        """Enter a tier once nothing is being written.

        Raises:
            SleepFailed: it is awake still.
        """
        async with self._writing:
            await self._sleeper.sleep(tier)

    async def wake(self) -> None:
        """Let it run again.

        Raises:
            SleepFailed: it can't be woken.
        """
        await self._sleeper.wake()

    async def memory(self) -> MemoryUse:
        """What it takes now."""
        return await self._sleeper.memory()
