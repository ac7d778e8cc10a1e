"""Which pages of a process are in memory and which are in swap, and bringing back those it needs.

See /proc/PID/pagemap in the kernel's admin-guide/mm/pagemap.rst: eight bytes for each page, bit 63 when it is
in memory, bit 62 when it is in swap. Both are shown to whoever may read the process's memory map.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from service_manager.linux import procfs
from service_manager.linux.ranges import Range, Ranges, union

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
"""Bytes of one page."""

ENTRY = 8
"""Bytes of one pagemap entry."""

PRESENT, SWAPPED = 0x80, 0x40
"""Bits 63 and 62, as they are in the highest byte of an entry."""

_FLAGS = {bit: bytes(1 if byte & bit else 0 for byte in range(256)) for bit in (PRESENT, SWAPPED)}
_RUN = re.compile(rb"\x01+")

CHUNK = 1 << 20
"""Bytes of pagemap read at once: 512 MB of addresses."""

_HEAD = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+[ ]*(.*)$")


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of one process.

    Attributes:
        present: those in memory that can be paged out.
        swapped: those in swap, whether or not the swap cache still has them.
    """

    present: Ranges
    swapped: Ranges


def find(pid: int) -> Pages:
    """Where the pages of a process are; none when it is gone. About 5 ms for 70 MB, mostly the kernel's walk.

    Left out is what can't be paged out: the kernel's own mappings and locked memory.
    """
    present: list[Range] = []
    swapped: list[Range] = []
    try:
        with (procfs.PROC / str(pid) / "pagemap").open("rb", buffering=0) as pagemap:
            for start, end in _mapped(pid):
                for at, data in _entries(pagemap.fileno(), start, end):
                    top = data[ENTRY - 1 :: ENTRY] if sys.byteorder == "little" else data[::ENTRY]
                    present += _runs(top, at, PRESENT)
                    swapped += _runs(top, at, SWAPPED)
    except OSError:
        return Pages((), ())
    return Pages(union(present), union(swapped))


def touch(pid: int, ranges: Ranges) -> None:
    """Read a byte of every page, so that those in the swap cache are mapped again; about 1.3 us for each."""
    try:
        memory = os.open(procfs.PROC / str(pid) / "mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for start, end in ranges:
            for at in range(start, end, PAGE):
                try:
                    os.pread(memory, 1, at)
                except OSError:
                    # Unmapped meanwhile, or a device's.
                    break
    finally:
        os.close(memory)


def _mapped(pid: int) -> Iterator[Range]:
    """The mappings of which something is in memory or in swap; huge reservations without any are many."""
    bounds: Range | None = None
    used = False
    for line in procfs.read(pid, "smaps").splitlines():
        if head := _HEAD.match(line):
            name = head[4]
            bounds = None if name.startswith(b"[v") else (int(head[1], 16), int(head[2], 16))
            used = False
        elif line.startswith((b"Rss:", b"Swap:")):
            used = used or line.split()[1] != b"0"
        elif line.startswith(b"VmFlags:") and bounds and used and b" lo" not in line:
            yield bounds


def _entries(pagemap: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    at = start
    while at < end:
        wanted = min(CHUNK, (end - at) // PAGE * ENTRY)
        data = os.pread(pagemap, wanted, at // PAGE * ENTRY)
        if len(data) < ENTRY:
            return
        yield at, data
        at += len(data) // ENTRY * PAGE


def _runs(top: bytes, base: int, bit: int) -> Iterator[Range]:
    """The ranges of pages whose highest byte has this bit."""
    for run in _RUN.finditer(top.translate(_FLAGS[bit])):
        yield base + run.start() * PAGE, base + run.end() * PAGE
