"""What processes use of memory, processors, disk and network, counted by the kernel for each of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from service_manager.linux import procfs, swap
from service_manager.resources import MemoryUse, ResourceUse


def memory(pids: Iterable[int]) -> MemoryUse:
    """What these processes take of the memory; those that are gone take none. 1 to 10 ms each."""
    pss = swapped = 0
    for pid in pids:
        sizes = procfs.sizes(procfs.read(pid, "smaps_rollup"))
        pss += sizes.get("Pss", 0)
        swapped += sizes.get("SwapPss", 0)
    compressed = round(swapped * swap.compression_now()) if swapped else 0
    return MemoryUse(pss, swapped, compressed)


def resident(pid: int) -> int:
    """Bytes of a process that are in memory, shared ones in full; 0 when it is gone."""
    return procfs.sizes(procfs.read(pid, "smaps_rollup")).get("Rss", 0)


def usage(pids: Sequence[int]) -> ResourceUse:
    """What these processes use, all together; none of them is woken or waited for. 1 to 10 ms each.

    Where there is no /proc, nothing is known and everything is 0. Processes that end take their counters with
    them, but for the processor time, which passes to a parent that waits for them.
    """
    ticks = alive = read = written = 0
    spaces: dict[str, int] = {}
    for pid in pids:
        process = procfs.stat(pid)
        if process is None or not process.alive:
            continue
        alive += 1
        ticks += process.ticks
        disk = _counters(procfs.read(pid, "io"))
        read += disk.get("read_bytes", 0)
        written += disk.get("write_bytes", 0)
        spaces[_namespace(str(pid))] = pid
    received = sent = None
    if spaces and "" not in spaces and _namespace("self") not in spaces:
        counted = [_network(pid) for pid in spaces.values()]
        received, sent = sum(count[0] for count in counted), sum(count[1] for count in counted)
    return ResourceUse(
        cpu_s=ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0,
        memory=memory(pids),
        disk_read=read,
        disk_written=written,
        received=received,
        sent=sent,
        processes=alive,
    )


def _counters(text: bytes) -> dict[str, int]:
    pairs = (line.split(": ") for line in text.decode(errors="replace").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _namespace(pid: str) -> str:
    """The network namespace of a process; empty when it is kept from us."""
    try:
        return str(Path(procfs.PROC, pid, "ns", "net").readlink())
    except OSError:
        return ""


def _network(pid: int) -> tuple[int, int]:
    """Bytes received and sent by the interfaces a process sees, the loopback apart."""
    received = sent = 0
    for line in procfs.read(pid, "net/dev").decode(errors="replace").splitlines()[2:]:
        name, _, rest = line.partition(":")
        columns = rest.split()
        if name.strip() != "lo" and len(columns) >= 9:
            received += int(columns[0])
            sent += int(columns[8])
    return received, sent
