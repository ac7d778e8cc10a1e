"""Stops every process of a service and lets them continue, whatever they fork meanwhile.

The kernel signals a process group as a whole: a fork that a signal overtakes is undone and made again later.
So one SIGSTOP to the group stops all of it, and only processes that left the group have to be looked for,
until none is found that was not known.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from service_manager.errors import SleepFailed
from service_manager.linux import cgroup, procfs
from service_manager.linux.members import members
from service_manager.linux.procfs import Stat

ROUNDS = 20
"""After so many looks that each found another process, it forks faster than it can be stopped."""

REST_S = 0.1
"""How long is waited for stopped processes to leave the processor; it takes under 1 ms."""

PAUSE_S = 0.0005


def stop(leader: int, group: Path | None = None) -> tuple[Stat, ...]:
    """Stop all processes of a service and return them as they were found; takes 2 to 10 ms.

    Args:
        leader: the leader of its session and process group.
        group: its control group, where it has one; frozen as well where that can be done.

    Raises:
        SleepFailed: it has ended, may not be signalled, or forks without end; what was stopped continues.

    Where there is no /proc its process group is stopped, and nothing is returned.
    """
    if not procfs.there():
        _signal_group(leader, signal.SIGSTOP)
        return ()
    frozen = group is not None and cgroup.can_freeze(group) and cgroup.freeze(group)
    stopped: dict[int, Stat] = {}
    try:
        _signal_group(leader, signal.SIGSTOP)
        _stop_each(leader, group, stopped)
    except SleepFailed:
        resume(leader, tuple(stopped.values()), group)
        raise
    if not frozen:
        _rest(stopped)
    return tuple(stopped.values())


def _stop_each(leader: int, group: Path | None, stopped: dict[int, Stat]) -> None:
    """Stop what is found until nothing else is; `stopped` takes it as it goes."""
    for _ in range(ROUNDS):
        fresh = [process for process in members(leader, group) if process.pid not in stopped]
        if not fresh and leader in stopped:
            return
        if leader not in stopped and all(process.pid != leader for process in fresh):
            raise SleepFailed(f"Process {leader} has ended.")
        for process in fresh:
            stopped[process.pid] = process
            # The group has the signal already; one that left it gets it here.
            _signal(process, signal.SIGSTOP)
    raise SleepFailed(f"Process {leader} starts other processes faster than they can be stopped.")


def resume(leader: int, stopped: Sequence[Stat], group: Path | None = None) -> None:
    """Let all of them continue, those outside the process group last; those that are gone are passed over."""
    if group is not None and cgroup.can_freeze(group):
        cgroup.thaw(group)
    with suppress(SleepFailed):
        _signal_group(leader, signal.SIGCONT)
    for process in stopped:
        if process.group != leader:
            with suppress(SleepFailed):
                _signal(process, signal.SIGCONT)


def same(process: Stat) -> bool:
    """Whether this process still lives, and its number was not given to another."""
    now = procfs.stat(process.pid)
    return now is not None and now.alive and now.started == process.started


def lives(leader: int) -> bool:
    """Whether the leader of a service is there and not only a zombie."""
    if procfs.there():
        found = procfs.stat(leader)
        return found is not None and found.alive
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _rest(stopped: dict[int, Stat]) -> None:
    """Return when nothing runs any more; what waits in the kernel (state D) stops when it leaves it."""
    deadline = time.monotonic() + REST_S
    while time.monotonic() < deadline and any(
        (now := procfs.stat(pid)) and now.runnable and now.started == process.started
        for pid, process in stopped.items()
    ):
        time.sleep(PAUSE_S)


def _signal_group(leader: int, sent: signal.Signals) -> None:
    try:
        os.killpg(leader, sent)
    except ProcessLookupError as error:
        raise SleepFailed(f"Process {leader} has ended.") from error
    except PermissionError as error:
        raise _forbidden(leader) from error


def _signal(process: Stat, sent: signal.Signals) -> None:
    if not same(process):
        return
    try:
        os.kill(process.pid, sent)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise _forbidden(process.pid) from error


def _forbidden(pid: int) -> SleepFailed:
    return SleepFailed(
        f"Process {pid} belongs to another user and can't be stopped.",
        "Run the service and its manager as the same user.",
    )
