"""Puts a container to sleep: paused by its engine, and paged out where its processes are on this machine."""

from __future__ import annotations

from pathlib import Path

import anyio
from anyio.lowlevel import checkpoint

from service_manager.drivers.docker_engine import Engine
from service_manager.drivers.protocol import Sleeper
from service_manager.errors import PlatformError, SleepFailed
from service_manager.linux import procfs
from service_manager.model import Tier
from service_manager.resources import MemoryUse

CGROUP = Path("/sys/fs/cgroup")

PAGED = (Tier.PAGED_HOT, Tier.PAGED_FULL)

ELSEWHERE = (
    "Its engine runs its processes where they can't be reached, so that paused containers keep their memory."
)


class ContainerSleeper:
    """One container; see `service_manager.drivers.protocol.Sleeper`.

    `docker pause` alone frees nothing. What pages out the processes stops them as well, and that does not
    show while they are paused: both have to be undone, in any order.

    Args:
        engine: runs it.
        container: its id.
        processes: pages them out; None where they can't be reached.
        writing: held by who writes to it, so that no line is cut in two by the pause.
    """

    def __init__(
        self, engine: Engine, container: str, processes: Sleeper | None, writing: anyio.Lock
    ) -> None:
        self._engine = engine
        self._container = container
        self._processes = processes
        self._writing = writing
        self._paused = False
        deep = processes.tiers if processes else ()
        self.tiers: tuple[Tier, ...] = (Tier.FROZEN, *(tier for tier in deep if tier in PAGED))
        self.missing: str = processes.missing if processes else ELSEWHERE

    async def sleep(self, tier: Tier) -> None:
        """Pause it, then page out what the tier says; one that sleeps already sleeps deeper.

        Cancelled, it runs again.

        Raises:
            SleepFailed: it has ended, or can't sleep so; where it lives it is awake.
        """
        if tier not in self.tiers:
            raise SleepFailed(f"It can't sleep as {tier} here.", self.missing)
        done = False
        try:
            await self._pause()
            await checkpoint()
            if tier in PAGED and self._processes is not None:
                await self._processes.sleep(tier)
            done = True
        finally:
            if not done:
                with anyio.CancelScope(shield=True):
                    await self._resume()

    async def wake(self) -> None:
        """Let it run again; its pages come back as it uses them.

        Raises:
            SleepFailed: it has ended, or its engine does not answer.
        """
        if self._processes is not None:
            await self._processes.wake()
        if not self._paused:
            return
        try:
            await self._engine.ask(lambda client: client.unpause(self._container))
        except PlatformError as error:
            raise SleepFailed(f"The container can't be continued: {error}") from error
        self._paused = False

    async def memory(self) -> MemoryUse:
        """What it takes now: of its processes where they can be seen, else as its engine counts it."""
        if self._processes is not None:
            return await self._processes.memory()
        try:
            return (await self._engine.usage(self._container)).memory
        except PlatformError:
            return MemoryUse(0)

    async def _pause(self) -> None:
        if self._paused:
            return
        # Noted first: a pause that fails half-way is undone.
        self._paused = True
        try:
            async with self._writing:
                await self._engine.ask(lambda client: client.pause(self._container))
        except PlatformError as error:
            raise SleepFailed(f"The container can't be paused: {error}") from error

    async def _resume(self) -> None:
        try:
            await self.wake()
        except SleepFailed:
            # It has ended, or was never paused; who holds it will see which.
            self._paused = False


def group_of(pid: int, container: str) -> Path | None:
    """The control group of a container's process; None when it isn't one of this machine's.

    Of version 2 where memory is counted there, else that of the memory controller of version 1.
    """
    found: dict[str, Path] = {}
    for line in procfs.read(pid, "cgroup").decode(errors="replace").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if container in path:
            for place in (CGROUP, CGROUP / "unified") if number == "0" else (CGROUP / "memory",):
                directory = place / path.lstrip("/")
                if (number == "0" or "memory" in controllers.split(",")) and directory.is_dir():
                    found.setdefault("2" if number == "0" else "1", directory)
    return found.get("1") or found.get("2")
