"""One line of the history: what a service, or the machine, used at a time."""

from __future__ import annotations

from dataclasses import dataclass

MACHINE = ""
"""The name the machine's own samples have; no service can be called so."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was used; rates per second, None where unknown.

    Attributes:
        at: Unix time, in seconds.
        service: its name, or `MACHINE`.
        state: the service's state; empty for the machine.
        cpu_percent: of one processor for a service, of all of them for the machine.
        memory: bytes of proportional set size; what is in use for the machine.
        swap: bytes in swap, before compression.
        compressed: bytes those take in memory, where swap is zram.
        processes: how many it has; 0 for the machine.
    """

    at: float
    service: str
    state: str = ""
    cpu_percent: float | None = None
    memory: int | None = None
    swap: int | None = None
    compressed: int | None = None
    disk_read: float | None = None
    disk_written: float | None = None
    received: float | None = None
    sent: float | None = None
    processes: int = 0
