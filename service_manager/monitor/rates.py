"""Counters into rates: what a service used between two readings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service_manager.resources import ResourceUse

TICK_S = 0.02
"""Counters of processor time move in ticks of 10 ms on Linux; a reading may be one early and one late."""

SHORTEST_S = 0.1
"""Readings closer than this give no rate: a few ticks would be most of it."""

Run = tuple[int, int | None]
"""Which run of a service a reading is of: how often it was started, and its process."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters of one service at monotonic seconds."""

    at: float
    run: Run
    use: ResourceUse


@dataclass(frozen=True, slots=True)
class Rates:
    """What was used between two readings, per second; None where that can't be told.

    Attributes:
        cpu_percent: processor time, 100 is one processor.
        disk_read, disk_written, received, sent: bytes per second.
    """

    cpu_percent: float | None = None
    disk_read: float | None = None
    disk_written: float | None = None
    received: float | None = None
    sent: float | None = None


def rates(before: Reading, after: Reading, processors: int) -> Rates:
    """What a service used between two readings of it.

    The counters of another run began at zero in between, so that they are what it used since. Within one run
    a counter that has fallen says nothing: a process of the service has ended and taken its share with it.
    More processor time than the processors had is no reading at all.
    """
    elapsed = after.at - before.at
    if elapsed < SHORTEST_S:
        return Rates()
    anew = after.run != before.run
    old, new = before.use, after.use

    def rate(past: float | None, present: float | None) -> float | None:
        if present is None or (past is None and not anew):
            return None
        grown = present - (0.0 if anew or past is None else past)
        return grown / elapsed if grown >= 0 else None

    cpu = rate(old.cpu_s, new.cpu_s)
    if cpu is not None and cpu > processors * (1 + TICK_S / elapsed):
        cpu = None
    return Rates(
        None if cpu is None else cpu * 100,
        rate(old.disk_read, new.disk_read),
        rate(old.disk_written, new.disk_written),
        rate(old.received, new.received),
        rate(old.sent, new.sent),
    )


class Meter:
    """Remembers the last reading of each service and tells the rates since.

    Args:
        processors: how many the machine has.
    """

    def __init__(self, processors: int) -> None:
        self._processors = processors
        self._last: dict[str, Reading] = {}

    def take(self, readings: Mapping[str, Reading]) -> dict[str, Rates]:
        """Take a round of readings; services that are not in it are forgotten."""
        found: dict[str, Rates] = {}
        for name, reading in readings.items():
            before = self._last.get(name)
            found[name] = Rates() if before is None else rates(before, reading, self._processors)
        self._last = dict(readings)
        return found

    def known(self) -> Iterable[str]:
        """The services of the last round."""
        return self._last.keys()
