"""What the whole machine uses: read from Linux's /proc and /sys; elsewhere nothing is known."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SECTOR_BYTES = 512
"""What a sector of /proc/diskstats is, whatever the device's own sectors are (Linux, admin-guide/iostats)."""


@dataclass(frozen=True, slots=True)
class MachineUse:
    """Counters and sizes of the machine, at monotonic seconds. Bytes.

    Attributes:
        busy_s: seconds of processor time in which something ran, over all processors; None where unknown.
        memory_available: what could be had without swapping.
        disk_read, disk_written: of real devices, so that nothing counts twice.
        received, sent: of all interfaces but the loopback.
    """

    at: float
    processors: int
    busy_s: float | None = None
    memory_total: int = 0
    memory_available: int = 0
    swap_total: int = 0
    swap_free: int = 0
    disk_read: int | None = None
    disk_written: int | None = None
    received: int | None = None
    sent: int | None = None


@dataclass(frozen=True, slots=True)
class MachineLoad:
    """What the machine uses now; rates as in `Rates`, 100 is all of its processors.

    Attributes:
        memory_used, swap_used: bytes; None where unknown.
    """

    processors: int
    cpu_percent: float | None = None
    memory_total: int | None = None
    memory_used: int | None = None
    swap_total: int | None = None
    swap_used: int | None = None
    disk_read: float | None = None
    disk_written: float | None = None
    received: float | None = None
    sent: float | None = None


def read_machine(at: float, root: Path = Path("/")) -> MachineUse:
    """Read the machine's counters; takes well under a millisecond.

    Args:
        at: monotonic seconds, kept with the reading.
        root: what stands before ``proc`` and ``sys``.
    """
    memory = _memory(root / "proc/meminfo")
    disk = _disk(root / "proc/diskstats", root / "sys/block")
    network = _network(root / "proc/net/dev")
    return MachineUse(
        at=at,
        processors=processors(),
        busy_s=_busy_s(root / "proc/stat"),
        memory_total=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable", 0),
        swap_total=memory.get("SwapTotal", 0),
        swap_free=memory.get("SwapFree", 0),
        disk_read=disk[0] if disk else None,
        disk_written=disk[1] if disk else None,
        received=network[0] if network else None,
        sent=network[1] if network else None,
    )


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load(before: MachineUse | None, after: MachineUse) -> MachineLoad:
    """What the machine used between two readings, and what it holds now."""
    elapsed = after.at - before.at if before else 0.0

    def rate(past: float | None, present: float | None) -> float | None:
        if past is None or present is None or elapsed <= 0 or present < past:
            return None
        return (present - past) / elapsed

    cpu = rate(before.busy_s if before else None, after.busy_s)
    return MachineLoad(
        after.processors,
        None if cpu is None else min(100.0, cpu * 100 / after.processors),
        after.memory_total or None,
        after.memory_total - after.memory_available if after.memory_total else None,
        after.swap_total if after.memory_total else None,
        after.swap_total - after.swap_free if after.memory_total else None,
        rate(before.disk_read if before else None, after.disk_read),
        rate(before.disk_written if before else None, after.disk_written),
        rate(before.received if before else None, after.received),
        rate(before.sent if before else None, after.sent),
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _busy_s(path: Path) -> float | None:
    for line in _lines(path):
        name, *ticks = line.split()
        if name == "cpu" and len(ticks) >= 4:
            # user, nice, system, idle, iowait, irq, softirq, steal; the guests' time is in user's already.
            numbers = [int(text) for text in ticks[:8]]
            return (sum(numbers) - sum(numbers[3:5])) / os.sysconf("SC_CLK_TCK")
    return None


def _memory(path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in _lines(path):
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return found


def _disk(path: Path, devices: Path) -> tuple[int, int] | None:
    rows = [line.split() for line in _lines(path)]
    # Loop, RAM and mapped devices have no `device` entry: their bytes are those of a real one, or of none.
    real = [row for row in rows if len(row) >= 10 and (devices / row[2] / "device").exists()]
    if not real:
        return None
    return sum(int(row[5]) for row in real) * SECTOR_BYTES, sum(int(row[9]) for row in real) * SECTOR_BYTES


def _network(path: Path) -> tuple[int, int] | None:
    received = sent = 0
    lines = _lines(path)[2:]
    for line in lines:
        name, _, rest = line.partition(":")
        numbers = rest.split()
        if name.strip() != "lo" and len(numbers) >= 9:
            received += int(numbers[0])
            sent += int(numbers[8])
    return (received, sent) if lines else None
