"""The sleeper of what can't sleep."""

from __future__ import annotations

from service_manager.errors import SleepFailed
from service_manager.model import Tier
from service_manager.resources import MemoryUse


class AlwaysAwake:
    """Enters no tier; see `service_manager.drivers.protocol.Sleeper`.

    Args:
        missing: what sleeping lacks here; empty when nothing could be done about it.
    """

    def __init__(self, missing: str = "") -> None:
        self.tiers: tuple[Tier, ...] = ()
        self.missing = missing

    async def sleep(self, tier: Tier) -> None:
        """Refuse.

        Raises:
            SleepFailed: always.
        """
        raise SleepFailed(f"It can't sleep as {tier}.", self.missing)

    async def wake(self) -> None:
        """Nothing: it is awake."""

    async def memory(self) -> MemoryUse:
        """Nothing is known of it."""
        return MemoryUse(0)
