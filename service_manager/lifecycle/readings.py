"""What pressure is read from: processors, memory and the kernel's stall information.

In a control group with limits of its own, such as a container, the group and the machine are read, and the
tighter of them counts.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from service_manager.enforce.hierarchy import Hierarchy, hierarchies, lines, number, table
from service_manager.monitor.machine import MachineUse, load, processors, read_machine
from service_manager.policy.pressure import Readings
from service_manager.policy.rules import Metric

_STALLS = {
    Metric.CPU_SOME: ("cpu", "some"),
    Metric.MEMORY_SOME: ("memory", "some"),
    Metric.MEMORY_FULL: ("memory", "full"),
    Metric.IO_SOME: ("io", "some"),
    Metric.IO_FULL: ("io", "full"),
}
_AVERAGE = re.compile(r"avg10=(\d+(?:\.\d+)?)")
_PAGES = re.compile(r"Pages (free|inactive|speculative|purgeable):\s+(\d+)")
_PAGE_SIZE = re.compile(r"page size of (\d+) bytes")

ASK_S = 2.0
"""How long a program of macOS is waited for."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the machine, or the container we are in, has.

    Attributes:
        memory: bytes; 0 where unknown.
        processors: how many, or how much of them.
    """

    memory: int
    processors: float


@dataclass(frozen=True, slots=True)
class Quota:
    """Processor time that a control group may use: so many processors, of which so many seconds are used."""

    group: Path
    processors: float
    used_s: float


class Meter:
    """Reads pressure again and again; processor time counts from one reading to the next.

    Args:
        clock: monotonic seconds.
        root: what stands before ``proc`` and ``sys``.
        platform: as `sys.platform`.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        root: Path = Path("/"),
        platform: str = sys.platform,
    ) -> None:
        self._clock = clock
        self._root = root
        self._platform = platform
        self._trees = hierarchies(root) if platform == "linux" else ()
        self._before: tuple[MachineUse, dict[Path, Quota]] | None = None

    async def read(self) -> Readings:
        """Read what can be read here, on a worker thread; some milliseconds."""
        return await anyio.to_thread.run_sync(self._read, abandon_on_cancel=False)

    def capacity(self) -> Capacity:
        """How much memory and how many processors there are; takes well under a millisecond."""
        whole = _physical() if self._platform == "darwin" else read_machine(0.0, self._root).memory_total
        limits = [limit for limit, _ in _memory_limits(self._trees) if limit]
        quotas = [quota.processors for quota in _quotas(self._trees)]
        return Capacity(min([whole, *limits]) if whole else 0, min([float(processors()), *quotas]))

    def _read(self) -> Readings:
        if self._platform == "darwin":
            return _read_macos()
        use = read_machine(self._clock(), self._root)
        quotas = {quota.group: quota for quota in _quotas(self._trees)}
        before, self._before = self._before, (use, quotas)
        known = load(before[0] if before else None, use)
        cpu = [known.cpu_percent / 100] if known.cpu_percent is not None else []
        if before is not None and use.at > before[0].at:
            for group, quota in quotas.items():
                if (past := before[1].get(group)) is not None:
                    used = (quota.used_s - past.used_s) / (use.at - before[0].at)
                    cpu.append(min(1.0, max(0.0, used / quota.processors)))
        memory = [used / limit for limit, used in _memory_limits(self._trees)]
        if known.memory_total and known.memory_used is not None:
            memory.append(known.memory_used / known.memory_total)
        found: dict[Metric, float] = {}
        if cpu:
            found[Metric.CPU] = max(cpu)
        if memory:
            found[Metric.MEMORY] = min(1.0, max(memory))
        return found | _stalls([self._root / "proc/pressure", *_limited(self._trees)])


def _memory_limits(trees: tuple[Hierarchy, ...]) -> Iterator[tuple[int, int]]:
    """Limit and use of each group above us with a limit; what the kernel can drop at once is not in use."""
    for tree in trees:
        for group in tree.upwards() if "memory" in tree.controllers else ():
            first = tree.version == 1
            limit = number(group / ("memory.limit_in_bytes" if first else "memory.max"))
            used = number(group / ("memory.usage_in_bytes" if first else "memory.current"))
            # Version 1 says "no limit" by the largest multiple of a page that fits 63 bits.
            if limit is None or used is None or not 0 < limit < 2**60:
                continue
            idle = table(group / "memory.stat").get("total_inactive_file" if first else "inactive_file", 0)
            yield limit, max(0, used - idle)


def _quotas(trees: tuple[Hierarchy, ...]) -> Iterator[Quota]:
    accounting = next((tree for tree in trees if "cpuacct" in tree.controllers), None)
    for tree in trees:
        for group in tree.upwards() if "cpu" in tree.controllers else ():
            if tree.version == 2:
                allowed, _, period = " ".join(lines(group / "cpu.max")[:1]).partition(" ")
                used = table(group / "cpu.stat").get("usage_usec", 0) / 1e6
            else:
                allowed, period = (
                    str(number(group / f"cpu.cfs_{name}_us") or "") for name in ("quota", "period")
                )
                counted = accounting.mount / group.relative_to(tree.mount) if accounting else group
                used = (number(counted / "cpuacct.usage") or 0) / 1e9
            if allowed.isdecimal() and period.isdecimal() and int(allowed) and int(period):
                yield Quota(group, int(allowed) / int(period), used)


def _limited(trees: tuple[Hierarchy, ...]) -> list[Path]:
    """The groups of version 2 above us that have limits: the kernel tells what waits in each of them."""
    return [
        group
        for tree in trees
        if tree.version == 2
        for group in tree.upwards()
        if number(group / "memory.max") is not None
    ]


def _stalls(places: list[Path]) -> dict[Metric, float]:
    found: dict[Metric, float] = {}
    for place in places:
        for metric, (name, kind) in _STALLS.items():
            file = place / (name if place.name == "pressure" else f"{name}.pressure")
            for line in lines(file):
                if line.startswith(kind) and (average := _AVERAGE.search(line)):
                    found[metric] = max(found.get(metric, 0.0), float(average[1]) / 100)
    return found


def _physical() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0


def _read_macos() -> Readings:
    """The load of one minute for the processors, and what `vm_stat` says of the memory."""
    found: dict[Metric, float] = {Metric.CPU: min(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))}
    try:
        told = subprocess.run(
            ["/usr/bin/vm_stat"], capture_output=True, text=True, timeout=ASK_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return found
    available = available_macos(told)
    if available is not None and (whole := _physical()):
        found[Metric.MEMORY] = min(1.0, max(0.0, 1 - available / whole))
    return found


def available_macos(told: str) -> int | None:
    """The bytes that can be had without swapping, from what `vm_stat` prints; None where it says nothing."""
    size = _PAGE_SIZE.search(told)
    pages = [int(found[2]) for found in _PAGES.finditer(told)]
    return int(size[1]) * sum(pages) if size and pages else None
