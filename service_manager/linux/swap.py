"""The machine's swap: its devices, how full they are, and what memory zram takes for what it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from service_manager.linux import procfs

SWAPS = Path("/proc/swaps")
MEMINFO = Path("/proc/meminfo")
BLOCK = Path("/sys/block")

_ZRAM = re.compile(r"zram\d+")


@dataclass(frozen=True, slots=True)
class SwapArea:
    """One swap device or file in use; sizes in bytes.

    Attributes:
        name: its path, e.g. ``/dev/zram0``.
        memory: the physical memory it takes for what it holds; 0 on a disk.
        stored: what that memory stands for, before compression.
    """

    name: str
    size: int
    used: int
    memory: int = 0
    stored: int = 0

    @property
    def zram(self) -> bool:
        """Whether it is compressed memory."""
        return bool(_ZRAM.fullmatch(Path(self.name).name))


def areas() -> tuple[SwapArea, ...]:
    """The swap in use, in the kernel's order; none where there is none, or no /proc."""
    return parsed(_text(SWAPS), {name: _text(BLOCK / name / "mm_stat") for name in _zrams()})


def parsed(swaps: str, zrams: dict[str, str]) -> tuple[SwapArea, ...]:
    """The swap areas of the texts of /proc/swaps and of each zram device's mm_stat; pure.

    The columns of mm_stat that count here are the first, the original size of what is stored, and the third,
    all memory the device takes; see the kernel's admin-guide/blockdev/zram.rst.
    """
    found: list[SwapArea] = []
    for line in swaps.splitlines()[1:]:
        words = line.split()
        if len(words) < 4:
            continue
        # A blank in a path is written as \040.
        name, size, used = words[0].replace("\\040", " "), int(words[2]) * 1024, int(words[3]) * 1024
        columns = zrams.get(Path(name).name, "").split()
        memory, stored = (int(columns[2]), int(columns[0])) if len(columns) > 2 else (0, 0)
        found.append(SwapArea(name, size, used, memory, stored))
    return tuple(found)


def compression(swap: tuple[SwapArea, ...], zswap: int = 0) -> float:
    """The bytes of physical memory one byte in swap takes on average; 0 on a disk; pure.

    Args:
        swap: the areas in use.
        zswap: bytes of memory the compressed cache before a disk takes.
    """
    used = sum(area.used for area in swap)
    if used == 0:
        return 0.0
    in_zram = sum(area.used * area.memory / area.stored for area in swap if area.zram and area.stored)
    return (in_zram + zswap) / used


def compression_now() -> float:
    """As `compression`, of this machine at this moment."""
    memory = procfs.sizes(_text(MEMINFO).encode())
    return compression(areas(), memory.get("Zswap", 0))


def _zrams() -> list[str]:
    try:
        return [path.name for path in BLOCK.iterdir() if _ZRAM.fullmatch(path.name)]
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
