"""Lets a service that asks for it sleep on disk: it has no process then, and keeps its state."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
from anyio import to_thread

from service_manager.drivers.checkpoint import Checkpoint, unable
from service_manager.drivers.guardian import Guardian
from service_manager.drivers.images import Images
from service_manager.drivers.presence import Presence
from service_manager.drivers.protocol import Sleeper
from service_manager.errors import SleepFailed
from service_manager.linux.capabilities import NOT_ASKED, Capabilities
from service_manager.model import Tier
from service_manager.paths import state_dir
from service_manager.resources import MemoryUse

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
        """Write a service no more, in later lives either: it would lose its state again."""
        self._refused[name] = why

    def missing(self, name: str) -> str:
        """Why a service can't be written to disk; empty when it can."""
        return self._refused.get(name) or (NOT_ASKED if self._unable is None else self._unable)


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """Whose process is to be written.

    Attributes:
        name: the service.
        pid: its leader, the same number all its life.
        mark: what the environment of everything that belongs to it holds; CRIU is ended by it too when this
            process is killed.
        writing: held while a line is being written to it.
        presence: is told where it is.
    """

    name: str
    pid: int
    mark: Mapping[str, str]
    writing: anyio.Lock
    presence: Presence


class CheckpointingSleeper:
    """Adds CHECKPOINT to the tiers of another; see `service_manager.drivers.protocol.Sleeper`.

    After a failure that tier is not offered any more, and `missing` says why: one that could not be written
    sleeps in a lighter tier until it is started again, one that lost its state as long as the manager runs.

    Args:
        service: whose process it is.
        sleeper: does the lighter tiers.
        checkpoints: what is common to all services.
    """

    def __init__(self, service: Checkpointed, sleeper: Sleeper, checkpoints: Checkpoints) -> None:
        self._service = service
        self._presence = service.presence
        self._sleeper = sleeper
        self._checkpoints = checkpoints
        self._images = Images(checkpoints.base)
        self._remover = ("rm", "-rf", str(self._images.path))
        self._checkpoint: Checkpoint | None = None
        self.tiers: tuple[Tier, ...] = ()
        self.missing = ""
        self._offer(checkpoints.missing(service.name))

    async def sleep(self, tier: Tier) -> None:
        """Enter a tier. Once it is being written, that is not broken off; `wake` brings it back.

        Raises:
            SleepFailed: it is awake still.
        """
        if tier is not Tier.CHECKPOINT:
            await self._sleeper.sleep(tier)
            return
        if self._presence.away:
            return
        if tier not in self.tiers:
            raise SleepFailed(f"It can't sleep as {tier} here.", self.missing)
        # A frozen one can't be written.
        await self._sleeper.wake()
        try:
            async with self._service.writing:
                await self._write()
        except SleepFailed as error:
            self._offer(f"It could not be written to disk. {error}")
            raise

    async def wake(self) -> None:
        """Bring it back, or let it run again.

        Raises:
            SleepFailed: it can't be brought back; its state is lost.
        """
        if not self._presence.away:
            await self._sleeper.wake()
            return
        assert self._checkpoint is not None
        try:
            await self._checkpoint.restore()
        except SleepFailed as error:
            self._checkpoint.close()
            self._presence.lose()
            why = f"It did not come back from disk, and what it held in memory is lost. {error}"
            self._checkpoints.refuse(self._service.name, why)
            self._offer(why)
            raise SleepFailed(why) from error
        self._checkpoints.guardian.guard(self._service.pid)
        # It holds its pipes itself again.
        self._checkpoint.close()
        self._presence.come_back(self._checkpoint)

    async def memory(self) -> MemoryUse:
        """What it takes now: nothing while it is on disk."""
        return MemoryUse(0) if self._presence.absent else await self._sleeper.memory()

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
        self._presence.leave()
        written = False
        try:
            await checkpoint.dump()
            written = True
        finally:
            if not written:
                checkpoint.close()
                self._presence.stay()
        self._checkpoints.guardian.release(self._service.pid)

    def _prepare(self) -> Checkpoint:
        try:
            image = self._images.empty()
        except OSError as error:
            raise SleepFailed(f"There is no place for an image: {error}.") from error
        environ = {**os.environ, **self._service.mark}
        return Checkpoint(self._service.pid, image, self._checkpoints.criu, environ)

    def _offer(self, lacking: str) -> None:
        self.tiers = self._sleeper.tiers if lacking else (*self._sleeper.tiers, Tier.CHECKPOINT)
        self.missing = f"{lacking} {self._sleeper.missing}".strip() if lacking else ""
