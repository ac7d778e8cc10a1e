"""Ends what services leave running when the process that manages them has died, whatever killed it.

Run as a script with nothing but its standard input: ``+PGID`` registers a process group, ``-PGID`` forgets
it; ``+[...]`` and ``-[...]`` do so with a command, as a JSON list of words, that ends what no group holds,
such as containers. The writing end is held by the managing process alone, so that the end of input means it
is gone. Imports the standard library only and is started isolated (``python -I -S``), in about 20 ms.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence

GRACE_S = 1.0
"""Time between asking a group to end and killing it; nobody is left who would wait for more."""

COMMAND_S = 20.0
"""How long a command may take."""


def main() -> None:
    """Follow the registrations until the input ends, then end everything that is left."""
    for interrupt in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(interrupt, signal.SIG_IGN)
    groups: set[int] = set()
    commands: set[str] = set()
    for line in sys.stdin:
        sign, entry = line[0], line[1:].strip()
        if entry.startswith("["):
            commands.add(entry) if sign == "+" else commands.discard(entry)
        else:
            groups.add(int(entry)) if sign == "+" else groups.discard(int(entry))
    running = start(commands)
    # A stopped process does not act on SIGTERM before it continues.
    for sent in (signal.SIGTERM, signal.SIGCONT):
        signal_groups(groups, sent)
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and any(map(_alive, groups)):
        time.sleep(0.02)
    signal_groups(groups, signal.SIGKILL)
    await_all(running)


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
