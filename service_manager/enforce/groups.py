"""Control groups of services: made, limited, filled, and removed with all they hold.

All groups of one manager are below one of its own, which carries the limits of all services together. Its
name says which process made it: a group whose maker is gone is removed, with what it holds, by the next one.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service_manager.enforce.hierarchy import Hierarchy, lines, number
from service_manager.linux import procfs
from service_manager.linux.cgroup import pids_of
from service_manager.resources import Limits

PREFIX = "tool-router-"

WANTED = frozenset({"memory", "cpu", "pids"})
"""The controllers by which services are limited."""

KILLED_S = 1.0
"""How long the processes of a group that is removed are waited for after they were killed."""

PAUSE_S = 0.002
PERIOD_US = 100_000
"""Over this time a share of the processors is counted: the kernel's default."""

LEAST_QUOTA_US = 1_000
"""The kernel takes no smaller one."""

_NAME = re.compile(rf"{PREFIX}(\d+)-(\d+)-(\d+)-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Base:
    """Where groups can be made: a directory of one tree.

    Attributes:
        version: of the control groups, 1 or 2.
        directory: the group below which ours are made.
        controllers: what can be limited there; none where groups only hold processes together.
    """

    version: int
    directory: Path
    controllers: frozenset[str]


def bases(trees: Iterable[Hierarchy]) -> tuple[Base, ...]:
    """Where this process may make groups; nothing is changed by asking."""
    found: list[Base] = []
    for tree in trees:
        controllers = tree.controllers & WANTED
        if tree.version == 1:
            if controllers and os.access(tree.own, os.W_OK):
                found.append(Base(1, tree.own, controllers))
        elif (directory := _home(tree, controllers)) is not None:
            found.append(Base(2, directory, controllers & _words(directory / "cgroup.controllers")))
    return tuple(found)


def _home(tree: Hierarchy, controllers: frozenset[str]) -> Path | None:
    """The nearest group of version 2 whose children may have these controllers.

    A group that holds processes can't give controllers to its children, unless it is the topmost one of the
    machine. Ours holds us, so that it is mostly the one above it; but no limit is left behind by that.
    """
    for group in tree.upwards():
        topmost = not (group / "cgroup.events").exists()
        holds_us = group == tree.own
        if os.access(group / "cgroup.procs", os.W_OK) and (topmost or not controllers or not holds_us):
            given = _words(group / "cgroup.subtree_control")
            if controllers <= given or os.access(group / "cgroup.subtree_control", os.W_OK):
                return group
        if number(group / "memory.max") is not None or not _unlimited_cpu(group):
            return None
    return None


def _unlimited_cpu(group: Path) -> bool:
    return all(line.startswith("max") for line in lines(group / "cpu.max"))


def group_name() -> str:
    """The name of a new group of this process: its name space, number and start, and something random."""
    started = found.started if (found := procfs.stat(os.getpid())) else 0
    return f"{PREFIX}{_name_space()}-{os.getpid()}-{started}-{secrets.token_hex(3)}"


def stale(directory: Path) -> Iterator[Path]:
    """The groups in a directory whose makers are gone; of other name spaces of processes nothing is known."""
    for group in sorted(directory.glob(f"{PREFIX}*")):
        if (parts := _NAME.fullmatch(group.name)) and int(parts[1]) == _name_space():
            maker = procfs.stat(int(parts[2]))
            if maker is None or not maker.alive or maker.started != int(parts[3]):
                yield group


def make(group: Path) -> bool:
    """Make a group; whether it is there."""
    try:
        group.mkdir(exist_ok=True)
    except OSError:
        return False
    return True


def pass_on(group: Path, controllers: frozenset[str]) -> frozenset[str]:
    """Let the children of a group of version 2 have these controllers; which of them they have."""
    for controller in sorted(controllers - _words(group / "cgroup.subtree_control")):
        write(group / "cgroup.subtree_control", f"+{controller}")
    return controllers & _words(group / "cgroup.subtree_control")


def limit(group: Path, version: int, controllers: frozenset[str], limits: Limits) -> frozenset[str]:
    """Set the limits that can be set on a group; the names of those that hold.

    Swap is not limited: a service must be able to go there when it sleeps.
    """
    first = version == 1
    held: set[str] = set()
    if limits.memory is not None and "memory" in controllers:
        file = group / ("memory.limit_in_bytes" if first else "memory.max")
        if write(file, str(limits.memory)):
            held.add("memory")
    if limits.cpu is not None and "cpu" in controllers:
        quota = str(max(LEAST_QUOTA_US, int(limits.cpu * PERIOD_US)))
        if (
            write(group / "cpu.cfs_period_us", str(PERIOD_US)) and write(group / "cpu.cfs_quota_us", quota)
            if first
            else write(group / "cpu.max", f"{quota} {PERIOD_US}")
        ):
            held.add("cpu")
    count = limits.processes
    if count is not None and "pids" in controllers and write(group / "pids.max", str(count)):
        held.add("processes")
    return frozenset(held)


def end_whole(group: Path) -> None:
    """Have the kernel end all of a service for want of memory, or nothing of it (version 2 only).

    A wrapper is of no use without the server it has started, nor the other way round. Not for the group above
    the services: all of them would end.
    """
    write(group / "memory.oom.group", "1")


def enter(group: Path, pids: Iterable[int]) -> bool:
    """Move processes into a group, with all of their threads; whether the first one is there."""
    moved = [write(group / "cgroup.procs", str(pid)) for pid in pids]
    return bool(moved) and moved[0]


def remove(group: Path) -> bool:
    """Kill whatever a group still holds, and remove it with the groups below; whether it is gone."""
    deadline = time.monotonic() + KILLED_S
    while group.exists():
        pids = [pid for pid in pids_of(group) if pid > 0]
        if pids and not write(group / "cgroup.kill", "1"):
            for pid in pids:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        for child in sorted(group.glob("**/"), key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                child.rmdir()
        if not group.exists():
            break
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_S)
    return True


def write(file: Path, text: str) -> bool:
    """Write to a file of the kernel; whether it took that."""
    try:
        # Never "w": a file that is not there must not be made.
        with file.open("r+") as opened:
            opened.write(text)
    except OSError:
        return False
    return True


def _words(file: Path) -> frozenset[str]:
    return frozenset(" ".join(lines(file)).split())


def _name_space() -> int:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0
