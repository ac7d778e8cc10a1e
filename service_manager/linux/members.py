"""Which processes belong to a service."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from service_manager.linux import procfs
from service_manager.linux.cgroup import pids_of
from service_manager.linux.procfs import Stat


def members(leader: int, group: Path | None = None) -> tuple[Stat, ...]:
    """The living processes of a service, parents before their children, then in the order of their numbers.

    Its own are those of the leader's process group and session, whatever is below one of them in the process
    tree, and what a control group holds. A daemon that left the group, the session and its parent is found by
    the control group only.

    Args:
        leader: the process that was started, leader of its own session.
        group: the directory of the service's control group, where it has one.
    """
    return belonging(procfs.stats(), leader, frozenset(pids_of(group)) if group else frozenset())


def belonging(processes: Iterable[Stat], leader: int, grouped: frozenset[int]) -> tuple[Stat, ...]:
    """As `members`, among these processes; pure."""
    everyone = tuple(processes)
    children: dict[int, list[Stat]] = {}
    for process in everyone:
        children.setdefault(process.parent, []).append(process)
    known: dict[int, Stat] = {}
    waiting = [
        process
        for process in everyone
        if process.pid in grouped or leader in (process.pid, process.group, process.session)
    ]
    while waiting:
        below: list[Stat] = []
        for process in waiting:
            if process.pid not in known:
                known[process.pid] = process
                below += children.get(process.pid, ())
        waiting = below
    return tuple(process for process in _parents_first(known) if process.alive)


def _parents_first(known: dict[int, Stat]) -> list[Stat]:
    def depth(process: Stat) -> int:
        levels, seen = 0, {process.pid}
        while (parent := known.get(process.parent)) and parent.pid not in seen:
            levels += 1
            seen.add(parent.pid)
            process = parent
        return levels

    return sorted(known.values(), key=lambda process: (depth(process), process.pid))
