"""Resource limits of processes, set from outside by prlimit(2); Linux only."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from service_manager.linux import procfs
from service_manager.resources import Limits

DATA_HEADROOM = 512 * 1024**2
"""What a process may map beyond its memory limit: threads reserve 8 MB of stack each that they hardly use."""

PROCESS_HEADROOM = 512
"""RLIMIT_NPROC counts all threads of the user; so many may be added by whatever else the user does."""


def data_ceiling(memory: int) -> int:
    """RLIMIT_DATA for a memory limit.

    It bounds what a process maps for writing, which is more than what it uses: twice the limit, at least
    `DATA_HEADROOM` more. RLIMIT_AS would bound what is only reserved too: node reserves gigabytes.
    """
    return memory + max(memory, DATA_HEADROOM)


def process_ceiling(processes: int, running: int) -> int:
    """RLIMIT_NPROC for a limit of processes, when so many threads of the user run already."""
    return running + processes + PROCESS_HEADROOM


def held_by_rlimit(
    pids: Iterable[int], limits: Limits, user: int, *, memory: bool, processes: bool
) -> frozenset[str]:
    """Set the resource limits of processes; those they start have them too. The names of those that hold.

    Neither they nor their children can raise them again. Limits that were lower already are left alone.

    Args:
        pids: the processes.
        limits: what they may use.
        user: who runs them; RLIMIT_NPROC does not bind the user 0.
        memory: whether to set RLIMIT_DATA, as a net where no control group holds the memory.
        processes: whether to set RLIMIT_NPROC, as a net where no control group holds the processes.
    """
    if sys.platform != "linux":
        return frozenset()
    import resource

    wanted: dict[str, tuple[int, int]] = {}
    if limits.open_files is not None:
        wanted["open_files"] = (resource.RLIMIT_NOFILE, limits.open_files)
    if limits.file_size is not None:
        wanted["file_size"] = (resource.RLIMIT_FSIZE, limits.file_size)
    if limits.memory is not None and memory:
        wanted["memory"] = (resource.RLIMIT_DATA, data_ceiling(limits.memory))
    if limits.processes is not None and processes and user != 0:
        running = threads_of(user)
        wanted["processes"] = (resource.RLIMIT_NPROC, process_ceiling(limits.processes, running))
    held = set(wanted)
    alive = 0
    for pid in pids:
        for name, (kind, value) in wanted.items():
            try:
                _, hard = resource.prlimit(pid, kind)
                lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.prlimit(pid, kind, (lower, lower))
            except ProcessLookupError:
                break
            except (PermissionError, ValueError, OSError):
                held.discard(name)
        else:
            alive += 1
    return frozenset(held) if alive else frozenset()


def threads_of(user: int) -> int:
    """How many threads of a user run now."""
    count = 0
    for process in procfs.stats():
        fields = dict(
            line.split(":", 1)
            for line in procfs.read(process.pid, "status").decode(errors="replace").splitlines()
        )
        owner = fields.get("Uid", "").split()
        if owner and int(owner[0]) == user:
            count += int(fields.get("Threads", "1"))
    return count
