"""Lets a service that asks for it sleep on disk: it has no process then, and keeps its state.

The process ends when it is written. Whoever waits for its end asks `CheckpointingSleeper.exited`, which knows
that one from an end for good, and which sees the end of a process that was brought back and is init's child.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import to_thread

from service_manager.capabilities import NOT_ASKED, Capabilities
from service_manager.drivers.checkpoint import Checkpoint, unable
from service_manager.drivers.guardian import Guardian
from service_manager.drivers.images import Images
from service_manager.drivers.protocol import Sleeper
from service_manager.errors import SleepFailed
from service_manager.linux.stopping import lives
from service_manager.model import Tier
from service_manager.paths import state_dir
from service_manager.resources import MemoryUse

NOT_LEARNT = "an exit code nobody learnt"
"""How a process ends that was brought back: its code goes to its parent, which is init."""

LOST = "it did not come back from disk"

WRONG_STREAMS = "Only a service that speaks over its standard streams can be written to disk."


class Checkpoints:
    """What the services of one manager that are written to disk have in common.

    Args:
        environ: tells where the images are kept, and where CRIU is looked for.
        guardian: removes the images when this process is killed.
        machine: whether CRIU can be used, where that is known already.
    """

    def __init__(self, environ: Mapping[str, str], guardian: Guardian, machine: Capabilities) -> None:
        self.base = state_dir(environ) / "checkpoints"
        self.guardian = guardian
        self.criu = shutil.which("criu", path=environ.get("PATH")) or "criu"
        self._unable: str | None = None if machine.checkpoint == NOT_ASKED else machine.checkpoint
        self._refused: dict[str, str] = {}
        self._looking = anyio.Lock()

    async def look(self) -> None:
        """Find out whether CRIU can be used, once; about 20 ms."""
        async with self._looking:
            if self._unable is None:
                self._unable = await to_thread.run_sync(unable, self.criu, abandon_on_cancel=True)

    def refuse(self, name: str, why: str) -> None:
        """Write a service no more, in this life or a later one, which would fail again."""
        self._refused[name] = why

    def missing(self, name: str) -> str:
        """Why a service can't be written to disk; empty when it can."""
        return self._refused.get(name) or (NOT_ASKED if self._unable is None else self._unable)


@dataclass(frozen=True, slots=True)
class Written:
    """Whose process is to be written.

    Attributes:
        name: the service.
        pid: its leader, the same number all its life.
        mark: what the environment of everything that belongs to it holds; CRIU is ended by it too when this
            process is killed.
        writing: held while a line is being written to it.
    """

    name: str
    pid: int
    mark: Mapping[str, str]
    writing: anyio.Lock


class CheckpointingSleeper:
    """Adds CHECKPOINT to the tiers of another; see `service_manager.drivers.protocol.Sleeper`.

    After a failure that tier is not offered any more, and `missing` says why: a service that can't be written
    now, or that lost its state, sleeps in a lighter one.

    Args:
        service: whose process it is.
        sleeper: does the lighter tiers.
        checkpoints: what is common to all services.
    """

    def __init__(self, service: Written, sleeper: Sleeper, checkpoints: Checkpoints) -> None:
        self._service = service
        self._sleeper = sleeper
        self._checkpoints = checkpoints
        self._images = Images(checkpoints.base)
        self._remover = ("rm", "-rf", str(self._images.path))
        self._checkpoint: Checkpoint | None = None
        self._away = False
        self._lost = False
        self._restores = 0
        self._changed = anyio.Event()
        self.tiers: tuple[Tier, ...] = ()
        self.missing = ""
        self._offer()

    @property
    def absent(self) -> bool:
        """Whether it has no process that could be signalled: its number may be another's."""
        return self._away or self._lost

    async def sleep(self, tier: Tier) -> None:
        """Enter a tier. Once it is being written, that is not broken off; `wake` brings it back.

        Raises:
            SleepFailed: it is awake still.
        """
        if tier is not Tier.CHECKPOINT:
            await self._sleeper.sleep(tier)
            return
        if self._away:
            return
        if tier not in self.tiers:
            raise SleepFailed(f"It can't sleep as {tier} here.", self.missing)
        # A frozen one can't be written.
        await self._sleeper.wake()
        try:
            async with self._service.writing:
                await self._write()
        except SleepFailed as error:
            self._refuse(f"It could not be written to disk: {error}")
            raise

    async def wake(self) -> None:
        """Bring it back, or let it run again.

        Raises:
            SleepFailed: it can't be brought back; its state is lost.
        """
        if not self._away:
            await self._sleeper.wake()
            return
        assert self._checkpoint is not None
        try:
            await self._checkpoint.restore()
        except SleepFailed as error:
            self._lost = True
            self._settle()
            why = f"It did not come back from disk, and what it held in memory is lost. {error}"
            self._refuse(why)
            raise SleepFailed(why) from error
        self._restores += 1
        self._checkpoints.guardian.guard(self._service.pid)
        self._settle()

    async def memory(self) -> MemoryUse:
        """What it takes now: nothing while it is on disk."""
        return MemoryUse(0) if self.absent else await self._sleeper.memory()

    async def exited(self) -> None:
        """Return when it has ended for good; to be asked once the process that was started has ended."""
        while True:
            while self._away:
                await self._changed.wait()
            seen = self._restores
            if self._lost or not seen:
                return
            assert self._checkpoint is not None
            await self._checkpoint.wait()
            # It may have been written and brought back again before this task has its turn.
            if not self._away and seen == self._restores:
                return

    def ending(self) -> str | None:
        """How it ended; empty while it runs or is on disk, None where only its first process tells."""
        if self._lost:
            return LOST
        if self._away:
            return ""
        if not self._restores:
            return None
        return "" if lives(self._service.pid) else NOT_LEARNT

    async def close(self) -> None:
        """Remove its image, if it has one: it will not come back."""
        if self._checkpoint is not None:
            self._checkpoint.close()
        await to_thread.run_sync(self._images.remove)
        self._checkpoints.guardian.release_by(self._remover)

    async def _write(self) -> None:
        self._checkpoints.guardian.guard_by(self._remover)
        checkpoint = await to_thread.run_sync(self._prepare)
        self._checkpoint = checkpoint
        # Its end is none from here on; until it is known whether it was written, it may be either.
        self._away = True
        written = False
        try:
            await checkpoint.dump()
            written = True
        finally:
            if not written:
                self._settle()
        self._checkpoints.guardian.release(self._service.pid)

    def _prepare(self) -> Checkpoint:
        try:
            image = self._images.empty()
        except OSError as error:
            raise SleepFailed(f"There is no place for an image: {error}.") from error
        environ = {**os.environ, **self._service.mark}
        return Checkpoint(self._service.pid, image, self._checkpoints.criu, environ)

    def _settle(self) -> None:
        """Note that it is not on disk any more, and let go of its pipes: it holds them itself."""
        self._away = False
        if self._checkpoint is not None:
            self._checkpoint.close()
        self._changed.set()
        self._changed = anyio.Event()

    def _refuse(self, why: str) -> None:
        self._checkpoints.refuse(self._service.name, why)
        self._offer()

    def _offer(self) -> None:
        lacking = self._checkpoints.missing(self._service.name)
        self.tiers = self._sleeper.tiers if lacking else (*self._sleeper.tiers, Tier.CHECKPOINT)
        self.missing = f"{lacking} {self._sleeper.missing}".strip() if lacking else ""
