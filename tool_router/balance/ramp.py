"""How a target that was out of use gets its share of calls back: a little at first, then ever more. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tool_router.balance.breaker import Clock


@dataclass(frozen=True, slots=True)
class RampSettings:
    """How fast a target gets its share back.

    Attributes:
        floor: the share it starts with, in (0, 1]; a cold target that got all of it at once would fail again.
        duration_s: seconds until it has all of it; 0 gives all at once.

    Raises:
        ValueError: the floor is no share, or the duration negative.
    """

    floor: float = 0.1
    duration_s: float = 30.0

    def __post_init__(self) -> None:
        if not (0 < self.floor <= 1 and self.duration_s >= 0):
            raise ValueError("floor must be above 0 and at most 1, duration_s at least 0")


class Ramp:
    """The share of one target.

    Args:
        settings: floor and duration.
        clock: monotonic seconds.
        rising: whether it starts at the floor; else it has its whole share until `start`.
    """

    def __init__(self, settings: RampSettings, clock: Clock, *, rising: bool = False) -> None:
        self._settings = settings
        self._clock = clock
        self._started: float | None = clock() if rising else None

    def start(self) -> None:
        """Begin at the floor: the target is back."""
        self._started = self._clock()

    def share(self) -> float:
        """The share now, from the floor to 1, rising evenly with time."""
        if self._started is None:
            return 1.0
        passed_s = self._clock() - self._started
        if passed_s >= self._settings.duration_s:
            self._started = None
            return 1.0
        floor = self._settings.floor
        return floor + (1.0 - floor) * passed_s / self._settings.duration_s
