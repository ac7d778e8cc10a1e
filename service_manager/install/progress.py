"""Progress of an installation: a number that always grows, and a sentence that says what is done."""

from __future__ import annotations

import math

from service_manager.model import Progress

EXPECTED_S = 20.0
"""Within a step progress nears the next one like 1 - exp(-t / EXPECTED_S): it grows, and never gets there."""


class Steps:
    """The steps of one installation, in order; before the first one it may have to wait for another process.

    Args:
        progress: is told every step and every sign of life.
        subject: what is installed, for people.
        count: how many steps follow.
    """

    def __init__(self, progress: Progress, subject: str, count: int) -> None:
        self._progress = progress
        self._subject = subject
        self._count = count
        self._total = float(count + 1)
        self._done = 0
        self._told = 0.0
        self._what = "waiting for another process that installs it"

    async def next(self, what: str) -> None:
        """Begin the next step."""
        self._done += 1
        self._what = what
        await self._tell(float(self._done), f"Installing {self._subject}: {what}")

    def repeat(self) -> None:
        """Begin anew: as many steps follow once more."""
        self._total += self._count

    async def tick(self, elapsed_s: float) -> None:
        """Show that the step goes on."""
        progress = self._done + 0.99 * (1.0 - math.exp(-elapsed_s / EXPECTED_S))
        message = f"Installing {self._subject}: {self._what} ({elapsed_s:.0f} s)"
        await self._tell(progress, message)

    async def finish(self) -> None:
        """Say that everything is installed."""
        await self._progress(self._total, self._total, f"Installed {self._subject}")

    async def _tell(self, progress: float, message: str) -> None:
        # A step may run several children, whose seconds each count from zero.
        self._told = max(progress, math.nextafter(self._told, math.inf))
        await self._progress(self._told, self._total, message)
