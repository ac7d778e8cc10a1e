"""Keeps the files of a sleeping process in the kernel's cache, which yields to whoever needs memory.

A page of a file that is paged out leaves the cache as well. Read back in, it is no process's memory, is given
away as soon as memory is short, and a wake maps it without asking the disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from service_manager.linux import procfs
from service_manager.linux.pages import Mapping
from service_manager.linux.ranges import Ranges, both

CHUNK = 256 * 1024
"""Bytes read at once."""


def load(pid: int, files: Iterable[Mapping], ranges: Ranges) -> None:
    """Read what these ranges map of files; one that can't be opened, or is none on a disk, is passed over."""
    for mapping in files:
        wanted = both(ranges, ((mapping.start, mapping.end),))
        if wanted:
            _load(pid, mapping, wanted)


def _load(pid: int, mapping: Mapping, wanted: Ranges) -> None:
    try:
        # As the process sees it: it may be in a container.
        path = procfs.PROC / str(pid) / "root" / mapping.path.lstrip("/")
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return
    try:
        if stat.S_ISREG(os.fstat(file).st_mode):
            for start, end in wanted:
                for at in range(start, end, CHUNK):
                    os.pread(file, min(CHUNK, end - at), mapping.offset + at - mapping.start)
    except OSError:
        return
    finally:
        os.close(file)
