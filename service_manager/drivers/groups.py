"""Process groups: signal one whole, tell whether anything of it is left, find those of a marked family.

Also read by the watchdog, which runs without site-packages: standard library only.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

MARK = "SERVICE_MANAGER_FAMILY"
"""Environment variable that every child of one manager inherits, so that those which left their process
group (a browser that was started detached, for example) can still be found."""


def signal_group(pgid: int, number: signal.Signals) -> bool:
    """Send a signal to every process of a group; False when nothing of it is left to receive one."""
    try:
        os.killpg(pgid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        # macOS says this of a group that only zombies are left of, Linux of a set-user-ID child.
        return False
    return True


def end_group(pgid: int) -> bool:
    """Ask a group to end, even one that is stopped; False when nothing of it is left.

    SIGTERM is sent first, so that a stopped process finds it pending when it continues and runs nothing else.
    """
    asked = signal_group(pgid, signal.SIGTERM)
    signal_group(pgid, signal.SIGCONT)
    return asked


def group_lives(pgid: int) -> bool:
    """Whether a group whose leader was already reaped has a process left.

    Its orphans become our children when we are process 1 of a container; then they are reaped here.
    """
    with suppress(ChildProcessError):
        while os.waitpid(-pgid, os.WNOHANG) != (0, 0):
            pass
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    return True


def marked_groups(token: str) -> frozenset[int]:
    """The groups of every process whose environment carries the mark; empty where there is no /proc."""
    wanted = f"{MARK}={token}".encode()
    found: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        # Processes end while we look, and other users' may not be read.
        with suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.add(os.getpgid(pid))
    return frozenset(found - {0, 1, os.getpgrp()})
