"""What this machine lets services sleep with, probed once, and how to get what it lacks."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from service_manager.linux import madvise, procfs, swap
from service_manager.linux.swap import SwapArea
from service_manager.model import Tier

CAP_SYS_PTRACE, CAP_SYS_NICE = 19, 23
"""Bits of a process's capabilities; see capabilities(7)."""

YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
CGROUP = Path("/sys/fs/cgroup")

LEAST_SWAP = 64 * 1024 * 1024
"""With less swap free than one ordinary service takes, nothing is paged out."""

NOT_ASKED = "CRIU was not looked for."


class SwapKind(StrEnum):
    """What the machine's swap is on. MIXED is zram and disks."""

    NONE = "none"
    DISK = "disk"
    ZRAM = "zram"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What there is on this machine. Sizes in bytes.

    Attributes:
        platform: as `sys.platform` has it.
        swap: what the swap is on.
        swap_size, swap_free: of all swap together.
        process_madvise: the kernel has the call (Linux 5.10) and lets it be made.
        nice: CAP_SYS_NICE, which process_madvise asks for where the process is another.
        peek: the memory of children may be read: CAP_SYS_PTRACE, or Yama does not forbid it.
        cgroup: the version of control groups memory is accounted in: 1, 2, or 0 without any.
        cgroup_writable: groups can be made there.
        checkpoint: why CRIU can't be used; empty when it can.
    """

    platform: str
    swap: SwapKind = SwapKind.NONE
    swap_size: int = 0
    swap_free: int = 0
    process_madvise: bool = False
    nice: bool = False
    peek: bool = False
    cgroup: int = 0
    cgroup_writable: bool = False
    checkpoint: str = NOT_ASKED

    @property
    def needs_second_pass(self) -> bool:
        """Whether swap has a cache in memory that has to be emptied: on any disk."""
        return self.swap in (SwapKind.DISK, SwapKind.MIXED)


def probe(checkpoint: str = NOT_ASKED) -> Capabilities:
    """Look at this machine; about 1 ms.

    Args:
        checkpoint: why CRIU can't be used; see `service_manager.drivers.checkpoint.unable`.
    """
    if not sys.platform.startswith("linux"):
        return Capabilities(sys.platform, checkpoint=checkpoint)
    areas = swap.areas()
    version, writable = _cgroup()
    return Capabilities(
        platform=sys.platform,
        swap=kind(areas),
        swap_size=sum(area.size for area in areas),
        swap_free=sum(area.size - area.used for area in areas),
        process_madvise=madvise.available(),
        nice=_capable(CAP_SYS_NICE),
        peek=_capable(CAP_SYS_PTRACE) or _yama() <= 1,
        cgroup=version,
        cgroup_writable=writable,
        checkpoint=checkpoint,
    )


def kind(areas: Sequence[SwapArea]) -> SwapKind:
    """What these areas are on, all together."""
    if not areas:
        return SwapKind.NONE
    if all(area.zram for area in areas):
        return SwapKind.ZRAM
    return SwapKind.MIXED if any(area.zram for area in areas) else SwapKind.DISK


def tiers_possible(capabilities: Capabilities, *, reclaim: bool = False) -> tuple[Tier, ...]:
    """The tiers a process can enter here and keep its state; never WARM, RESPAWN or CHECKPOINT.

    Without swap only pages of files could be paged out, which frees next to nothing (measured: 0 to 20 %), so
    that the paged tiers are not offered.

    Args:
        capabilities: of the machine.
        reclaim: the service has a control group whose memory can be reclaimed.
    """
    if capabilities.platform == "win32":
        return ()
    tiers = [Tier.FROZEN]
    if capabilities.swap is not SwapKind.NONE and capabilities.swap_free >= LEAST_SWAP:
        advise = capabilities.process_madvise and capabilities.nice
        emptied = capabilities.peek or not capabilities.needs_second_pass
        if advise and emptied:
            tiers.append(Tier.PAGED_HOT)
        if (advise and emptied) or reclaim:
            tiers.append(Tier.PAGED_FULL)
    return tuple(tiers)


def missing(capabilities: Capabilities) -> str:
    """What a deeper tier lacks here, one sentence with the command that gives it; empty when nothing."""
    if capabilities.platform == "win32":
        return "Windows has no signal that stops a process, so services sleep by being stopped."
    if not capabilities.platform.startswith("linux"):
        return "Only Linux can page out a process that sleeps; here it keeps its memory."
    if capabilities.swap is SwapKind.NONE:
        return (
            "There is no swap, so a frozen service keeps its memory: make a swap file "
            "(`scripts/swapfile make /swapfile 1G`) or use zram "
            "(`zramctl --find --size 1G`, then `mkswap` and `swapon` on it)."
        )
    if capabilities.swap_free < LEAST_SWAP:
        free = capabilities.swap_free >> 20
        return f"Only {free} MB of swap are free: make a larger one (`scripts/swapfile make /swapfile 1G`)."
    if not capabilities.process_madvise:
        return (
            "This kernel does not let other processes be paged out: "
            "that takes Linux 5.10, and a sandbox that allows process_madvise."
        )
    lacking = [
        name
        for name, held in (
            ("cap_sys_nice", capabilities.nice),
            ("cap_sys_ptrace", capabilities.peek or not capabilities.needs_second_pass),
        )
        if not held
    ]
    if lacking:
        program = Path(sys.executable).resolve()
        return f"Paging out takes a capability: `setcap {','.join(lacking)}+ep {program}`."
    return ""


def _capable(bit: int) -> bool:
    for line in procfs.read(os.getpid(), "status").splitlines():
        if line.startswith(b"CapEff:"):
            return bool(int(line.split()[1], 16) >> bit & 1)
    return False


def _yama() -> int:
    """Who may read another's memory: 0 the same user, 1 its ancestors, more only the privileged."""
    try:
        return int(YAMA.read_text())
    except (OSError, ValueError):
        return 0


def _cgroup() -> tuple[int, bool]:
    if (CGROUP / "cgroup.controllers").exists():
        own = procfs.read(os.getpid(), "cgroup").decode().rpartition("::")[2].strip().lstrip("/")
        return 2, os.access(CGROUP / own, os.W_OK)
    if (CGROUP / "memory").is_dir():
        return 1, os.access(CGROUP / "memory", os.W_OK)
    return 0, False
