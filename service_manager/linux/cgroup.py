"""The control group of one service: what it holds, freezing it, reclaiming its memory.

Only the freezer of version 2 is used: what it holds can still be killed. A process in the freezer of version
1 can't, not by SIGKILL either, and would outlive for ever a manager that was killed meanwhile.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

FROZEN_S = 0.5
"""How long a group is given to come to rest; it takes under 1 ms unless a process waits for a device."""

PAUSE_S = 0.0005


def pids_of(group: Path) -> tuple[int, ...]:
    """The processes in a group and below it; none when it is gone."""
    found: set[int] = set()
    for listing in (group / "cgroup.procs", *group.glob("**/cgroup.procs")):
        with suppress(OSError):
            found.update(int(line) for line in listing.read_text().split())
    return tuple(sorted(found))


def can_freeze(group: Path) -> bool:
    """Whether it has the freezer of version 2."""
    return (group / "cgroup.freeze").exists()


def freeze(group: Path) -> bool:
    """Freeze a whole group at once, forks included; whether it came to rest within `FROZEN_S`."""
    try:
        (group / "cgroup.freeze").write_text("1")
    except OSError:
        return False
    deadline = time.monotonic() + FROZEN_S
    while not _frozen(group):
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_S)
    return True


def thaw(group: Path) -> None:
    """Let a group run again; nothing when it is gone."""
    with suppress(OSError):
        (group / "cgroup.freeze").write_text("0")


def can_reclaim(group: Path) -> bool:
    """Whether its memory can be reclaimed on demand (Linux 5.19, the memory controller of version 2)."""
    return (group / "memory.reclaim").exists()


def reclaim(group: Path, size: int) -> bool:
    """Reclaim so many bytes of a group's memory; whether that much was found. What there was is reclaimed."""
    try:
        (group / "memory.reclaim").write_text(str(size))
    except OSError:
        return False
    return True


def charged(group: Path) -> int:
    """The bytes of memory charged to a group; 0 where that is not counted."""
    try:
        return int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return 0


def _frozen(group: Path) -> bool:
    try:
        return "frozen 1" in (group / "cgroup.events").read_text()
    except OSError:
        return False
