"""Kills the process groups of services when the process that manages them has died, whatever killed it.

Run as a script with nothing but its standard input: ``+PGID`` registers a group, ``-PGID`` forgets it. The
writing end is held by the managing process alone, so that the end of input means it is gone. Imports the
standard library only and is started isolated (``python -I -S``), in about 20 ms.
"""

from __future__ import annotations

import os
import signal
import sys
import time

GRACE_S = 1.0
"""Time between asking a group to end and killing it; nobody is left who would wait for more."""


def main() -> None:
    """Follow the registrations until the input ends, then end every group that is left."""
    for interrupt in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(interrupt, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        groups.add(group) if line[0] == "+" else groups.discard(group)
    # A stopped process does not act on SIGTERM before it continues.
    for sent in (signal.SIGTERM, signal.SIGCONT):
        signal_groups(groups, sent)
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and any(map(_alive, groups)):
        time.sleep(0.02)
    signal_groups(groups, signal.SIGKILL)


def signal_groups(groups: set[int], sent: signal.Signals) -> None:
    """Signal every group; those that are gone are passed over."""
    for group in groups:
        try:
            os.killpg(group, sent)
        except (ProcessLookupError, PermissionError):
            continue


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
