"""What a driver is: it runs a service, hands out a connection to it, and can put it to sleep."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from mcp.client._transport import Transport

from service_manager.journal import Journal
from service_manager.model import Command, ServiceSpec, Tier
from service_manager.resources import Limits, MemoryUse, ResourceUse

UNHEALTHY = "unhealthy"
"""What Docker calls a container whose HEALTHCHECK fails."""


class Sleeper(Protocol):
    """Puts one running service to sleep and wakes it; state is kept. One caller at a time.

    Attributes:
        tiers: those it can enter here, in the order of `Tier`, never WARM or RESPAWN.
        missing: what a better tier lacks here, with the command that gives it; empty when nothing.
    """

    tiers: tuple[Tier, ...]
    missing: str

    async def sleep(self, tier: Tier) -> None:
        """Enter a tier. Cancelled in the middle, it leaves the service awake or asleep, never in between.

        Raises:
            SleepFailed: it is awake still.
        """
        ...

    async def wake(self) -> None:
        """Let it run again; at once, and without an effect on one that is awake.

        Raises:
            SleepFailed: it can't be woken, and has to be started again.
        """
        ...

    async def memory(self) -> MemoryUse:
        """What it takes now, awake or asleep, without waking it."""
        ...


class Running(Protocol):
    """A service that runs."""

    @property
    def transport(self) -> Transport:
        """Its MCP streams, for one client."""
        ...

    @property
    def pid(self) -> int | None:
        """Its process; None where the driver has none."""
        ...

    @property
    def sleeper(self) -> Sleeper:
        """How it sleeps."""
        ...

    @property
    def enforced(self) -> Mapping[str, str]:
        """By what each of its limits is enforced."""
        ...

    async def wait(self) -> None:
        """Return when the service has ended by itself."""
        ...

    def last_words(self) -> tuple[str, ...]:
        """The last lines it wrote to stderr, oldest first."""
        ...

    def ending(self) -> str:
        """How it ended, e.g. "exit code 1"; empty while it runs."""
        ...

    async def usage(self) -> ResourceUse:
        """What it uses now, without waking it."""
        ...

    async def health(self) -> str:
        """What it is said to be by who runs it, e.g. "unhealthy"; empty where nobody looks.

        Raises:
            ServiceManagerError: who runs it does not answer.
        """
        ...


class Driver(Protocol):
    """Runs services of one kind."""

    def run(
        self, spec: ServiceSpec, command: Command, limits: Limits, journal: Journal
    ) -> AbstractAsyncContextManager[Running]:
        """Run the service until the block is left, then end it whole.

        Args:
            spec: the service.
            command: what to run; its argv is empty where there is none (an image's own, a deployment).
            limits: what it may use.
            journal: takes the lines it writes to stderr.

        Raises:
            ServiceStartFailed: it can't be started.
        """
        ...
