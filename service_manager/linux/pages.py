"""Which pages of a process are in memory and which are in swap, and bringing back those it needs.

See /proc/PID/pagemap in the kernel's admin-guide/mm/pagemap.rst: eight bytes for each page, bit 63 when it is
in memory, bit 62 when it is in swap, bit 61 when it is a file's (or shared memory, which goes to swap). They
are shown to whoever may read the process's memory map.
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

PRESENT, SWAPPED, OF_FILE = 0x80, 0x40, 0x20
"""Bits 63 to 61, as they are in the highest byte of an entry."""

_FLAGS = {
    bits: bytes(1 if byte & bits == bits else 0 for byte in range(256))
    for bits in (PRESENT, SWAPPED, PRESENT | OF_FILE)
}
_RUN = re.compile(rb"\x01+")

CHUNK = 1 << 20
"""Bytes of pagemap read at once: 512 MB of addresses."""

_HEAD = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \S+[ ]*(.*)$")


@dataclass(frozen=True, slots=True)
class Mapping:
    """One mapping of a process.

    Attributes:
        path: the file's, as the process sees it; empty for memory without one.
        offset: where in the file it starts.
    """

    start: int
    end: int
    path: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of one process.

    Attributes:
        present: those in memory that can be paged out.
        swapped: those in swap, whether or not the swap cache still has them.
        of_files: those of `present` that a file on disk holds as well.
        files: the mappings they are in.
    """

    present: Ranges
    swapped: Ranges
    of_files: Ranges = ()
    files: tuple[Mapping, ...] = ()


def find(pid: int) -> Pages:
    """Where the pages of a process are; none when it is gone. About 5 ms for 70 MB, mostly the kernel's walk.

    Left out is what can't be paged out: the kernel's own mappings and locked memory.
    """
    present: list[Range] = []
    swapped: list[Range] = []
    of_files: list[Range] = []
    files: list[Mapping] = []
    try:
        with (procfs.PROC / str(pid) / "pagemap").open("rb", buffering=0) as pagemap:
            for mapping in _mapped(pid):
                if mapping.path:
                    files.append(mapping)
                for at, data in _entries(pagemap.fileno(), mapping.start, mapping.end):
                    top = data[ENTRY - 1 :: ENTRY] if sys.byteorder == "little" else data[::ENTRY]
                    present += _runs(top, at, PRESENT)
                    swapped += _runs(top, at, SWAPPED)
                    if mapping.path:
                        of_files += _runs(top, at, PRESENT | OF_FILE)
    except OSError:
        return Pages((), ())
    return Pages(union(present), union(swapped), union(of_files), tuple(files))


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


def _mapped(pid: int) -> Iterator[Mapping]:
    """The mappings of which something is in memory or in swap; huge reservations without any are many."""
    mapping: Mapping | None = None
    used = False
    for line in procfs.read(pid, "smaps").splitlines():
        if head := _HEAD.match(line):
            name = head[4]
            path = os.fsdecode(name) if name.startswith(b"/") and not name.endswith(b" (deleted)") else ""
            bounds = int(head[1], 16), int(head[2], 16)
            mapping = None if name.startswith(b"[v") else Mapping(*bounds, path, int(head[3], 16))
            used = False
        elif line.startswith((b"Rss:", b"Swap:")):
            used = used or line.split()[1] != b"0"
        elif line.startswith(b"VmFlags:") and mapping and used and b" lo" not in line:
            yield mapping


def _entries(pagemap: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    at = start
    while at < end:
        wanted = min(CHUNK, (end - at) // PAGE * ENTRY)
        data = os.pread(pagemap, wanted, at // PAGE * ENTRY)
        if len(data) < ENTRY:
            return
        yield at, data
        at += len(data) // ENTRY * PAGE


def _runs(top: bytes, base: int, bits: int) -> Iterator[Range]:
    """The ranges of pages whose highest byte has all of these bits."""
    for run in _RUN.finditer(top.translate(_FLAGS[bits])):
        yield base + run.start() * PAGE, base + run.end() * PAGE
