"""Ends what services leave running when the process that manages them has died, whatever killed it.

Run as a script with nothing but its standard input: ``+PGID`` registers a process group, ``-PGID`` forgets
it; ``+[...]`` and ``-[...]`` do so with a command, as a JSON list of words, that ends what no group holds,
such as containers. ``=NAME=VALUE`` registers every process, of whatever group, in whose environment a
variable of that name begins so. The writing end is held by the managing process alone, so that the end of
input means it is gone; a last line ``.`` says that it ends as it should. Imports the standard library only
and is started isolated (``python -I -S``), in about 20 ms.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence

GRACE_S = 1.0
"""Time between asking a group to end and killing it; nobody is left who would wait for more."""

SETTLED_S = 0.2
"""For so long marked processes are looked for: a killed process may have forked what has no mark yet."""

LOOK_S = 0.02

COMMAND_S = 20.0
"""How long a command may take."""

MARK = "SERVICE_MANAGER_MARK"
"""The variable by which the processes of one manager are known, whatever they do: ``RANDOM/SERVICE``."""

CLOSING = "."


def main() -> None:
    """Follow the registrations until the input ends, then end everything that is left."""
    for interrupt in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(interrupt, signal.SIG_IGN)
    groups: set[int] = set()
    commands: set[str] = set()
    mark, settled_s = "", SETTLED_S
    for line in sys.stdin:
        sign, entry = line[0], line[1:].strip()
        if sign == CLOSING:
            settled_s = 0.0
        elif sign == "=":
            mark = entry
        elif entry.startswith("["):
            commands.add(entry) if sign == "+" else commands.discard(entry)
        else:
            groups.add(int(entry)) if sign == "+" else groups.discard(int(entry))
    running = start(commands)
    end(groups, mark, settled_s)
    await_all(running)


def end(groups: set[int], mark: str, settled_s: float) -> None:
    """Ask every group and every marked process to end, and kill what is left after `GRACE_S`.

    Args:
        groups: process groups.
        mark: how the environment of further processes begins somewhere, ``NAME=VALUE``; empty for none.
        settled_s: for how long at least they are looked for.
    """
    began, asked = time.monotonic(), set[int]()
    # A stopped process does not act on SIGTERM before it continues.
    for sent in (signal.SIGTERM, signal.SIGCONT):
        signal_groups(groups, sent)
    while True:
        found = marked(mark) if mark else set[int]()
        for sent in (signal.SIGTERM, signal.SIGCONT):
            signal_processes(found - asked, sent)
        asked |= found
        passed = time.monotonic() - began
        left = bool(found) or any(map(_alive, groups))
        if passed >= GRACE_S or (passed >= settled_s and not left):
            break
        time.sleep(LOOK_S)
    signal_groups(groups, signal.SIGKILL)
    signal_processes(marked(mark) if mark else (), signal.SIGKILL)


def marked(mark: str, *, whole: bool = False) -> set[int]:
    """The processes in whose environment an entry begins so, or is this as a whole; none without /proc.

    The environment is the one they were started with. Those of other users can't be read, and are not found.
    """
    sought = os.fsencode(f"\0{mark}\0" if whole else f"\0{mark}")
    found: set[int] = set()
    try:
        names = os.listdir("/proc")  # noqa: PTH208  # importing pathlib takes as long as all of the rest
    except OSError:
        return found
    for name in filter(str.isdigit, names):
        try:
            with open(f"/proc/{name}/environ", "rb") as environ:  # noqa: PTH123  # as above
                if sought in b"\0" + environ.read():
                    found.add(int(name))
        except OSError:
            continue
    return found


def signal_processes(pids: Iterable[int], sent: signal.Signals) -> None:
    """Signal every process; those that are gone are passed over."""
    for pid in pids:
        try:
            os.kill(pid, sent)
        except (ProcessLookupError, PermissionError):
            continue


def signal_groups(groups: set[int], sent: signal.Signals) -> None:
    """Signal every group; those that are gone are passed over."""
    for group in groups:
        try:
            os.killpg(group, sent)
        except (ProcessLookupError, PermissionError):
            continue


def start(commands: set[str]) -> list[int]:
    """Start every command at once and return their process numbers; what can't be started is passed over."""
    if not commands:
        return []
    # Few managers need it, and the rest have their watchdog sooner.
    import json

    nothing = os.open(os.devnull, os.O_RDWR)
    streams = [(os.POSIX_SPAWN_DUP2, nothing, stream) for stream in (0, 1, 2)]
    started: list[int] = []
    for command in commands:
        argv: list[str] = json.loads(command)
        try:
            started.append(os.posix_spawnp(argv[0], argv, os.environ, file_actions=streams, setpgroup=0))
        except OSError:
            continue
    return started


def await_all(started: Sequence[int]) -> None:
    """Return when all have ended; what takes too long is killed."""
    left = set(started)
    deadline = time.monotonic() + COMMAND_S
    while left and time.monotonic() < deadline:
        left -= {pid for pid in left if os.waitpid(pid, os.WNOHANG)[0]}
        time.sleep(0.02)
    signal_groups(left, signal.SIGKILL)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main()
