"""Who owns a container: which manager made it, and whether that one is still there."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service_manager.linux import procfs

BOOT = Path("/proc/sys/kernel/random/boot_id")

OWNER_LABEL = "tool-router.owner"
SERVICE_LABEL = "tool-router.service"


@dataclass(frozen=True, slots=True)
class Owner:
    """One process that makes containers.

    Attributes:
        host: the name of its machine.
        boot: tells one run of that machine from the next; empty where that is not known.
        space: the process namespace its number belongs to; empty where there are none.
        pid: its number.
        started: when it started, in clock ticks after the boot; 0 where that is not known.
    """

    host: str
    boot: str
    space: str
    pid: int
    started: int

    def label(self) -> str:
        """As it is written on a container."""
        return "|".join((self.host, self.boot, self.space, str(self.pid), str(self.started)))


def parse(label: str) -> Owner | None:
    """Read a label; None for one that is not ours."""
    parts = label.split("|")
    if len(parts) != 5 or not (parts[3].isdecimal() and parts[4].isdecimal()):
        return None
    return Owner(parts[0], parts[1], parts[2], int(parts[3]), int(parts[4]))


def this_process() -> Owner:
    """Ourselves."""
    boot = space = ""
    with suppress(OSError):
        boot = BOOT.read_text().strip()
    with suppress(OSError):
        space = str(Path("/proc/self/ns/pid").readlink())
    here = procfs.stat(os.getpid())
    return Owner(platform.node(), boot, space, os.getpid(), here.started if here else 0)


def gone(owner: Owner, us: Owner, *, running: bool) -> bool:
    """Whether an owner is known to have ended; one that can't be looked up counts as there.

    Args:
        owner: of the container.
        us: who asks.
        running: the container runs. After another boot of a machine of this name nothing of the one before
            runs; what does belongs to a different machine of the same name.
    """
    if owner.host != us.host:
        return False
    if owner.boot != us.boot:
        return not running
    return owner.space == us.space and not _lives(owner)


def _lives(owner: Owner) -> bool:
    if procfs.there():
        found = procfs.stat(owner.pid)
        return found is not None and found.alive and found.started == owner.started
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
