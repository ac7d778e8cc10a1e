"""What a service uses and may use: memory, processors, disk, network. Sizes in bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a service takes of the machine's memory, in bytes, over all of its processes.

    Attributes:
        pss: proportional set size: its own pages and its share of those it has in common with others.
        swap: what of it is in swap (its proportional share), before compression.
        compressed: the physical memory that swapped part takes in zram; 0 on a disk.
    """

    pss: int
    swap: int = 0
    compressed: int = 0

    @property
    def held(self) -> int:
        """The physical memory it keeps others from having: `pss` + `compressed`."""
        return self.pss + self.compressed


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """One reading of what a service uses; counters count from the start of its processes.

    Attributes:
        cpu_s: seconds of processor time, user and system.
        memory: what it takes of the memory.
        disk_read, disk_written: bytes that reached a device.
        received, sent: bytes on the network; None where they can't be told from the machine's own.
        processes: how many processes it has.
    """

    cpu_s: float
    memory: MemoryUse
    disk_read: int = 0
    disk_written: int = 0
    received: int | None = None
    sent: int | None = None
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one service may use at most; None is no limit of its own.

    Attributes:
        memory: bytes of physical memory, all of its processes together.
        cpu: processors, 0.5 is half of one.
        processes: processes and threads.
        open_files: file descriptors of one process.
        file_size: bytes of the largest file it may write.
    """

    memory: int | None = None
    cpu: float | None = None
    processes: int | None = None
    open_files: int | None = None
    file_size: int | None = None

    def over(self, base: Limits) -> Limits:
        """These limits where they are set, and the base's where they are not."""
        chosen = {
            name: getattr(base, name) if (own := getattr(self, name)) is None else own
            for name in ("memory", "cpu", "processes", "open_files", "file_size")
        }
        return Limits(**chosen)
