"""The watchdog process: when its manager is gone, however it went, it ends the services left behind.

Started by path as ``python -I -S watchdog_main.py TOKEN GRACE_S`` with a pipe from the manager on stdin.
The kernel closes that pipe with its writer, SIGKILL included; end of file is the signal to act. Lines on it:

    +PGID   a service started, its process group is PGID
    -PGID   that group is gone
    q       the manager ended in good order, nothing is left

Standard library only, and little of it: this process lives as long as the manager.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

# `-I` leaves this file's directory off the path; the sibling is the only thing wanted from it.
sys.path.insert(0, str(Path(__file__).parent))

from groups import end_group, group_lives, marked_groups, signal_group

_POLL_S = 0.02


def end_all(groups: set[int], token: str, grace_s: float) -> None:
    """End every group and everything marked: SIGTERM, up to `grace_s` seconds, then SIGKILL."""
    groups = groups | marked_groups(token)
    for pgid in groups:
        end_group(pgid)
    deadline = time.monotonic() + grace_s
    while any(group_lives(pgid) for pgid in groups) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    # Looked for again: a child that was being started when the manager died has its mark only now.
    for pgid in groups | marked_groups(token):
        if group_lives(pgid):
            signal_group(pgid, signal.SIGKILL)


def main(token: str, grace_s: float) -> None:
    """Follow the manager's lines until it is gone, then end what is left."""
    # It must outlive what ends the manager: a closed terminal, Ctrl-C, a SIGTERM to everybody.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    with os.fdopen(0, "rb", buffering=0) as lines:
        for line in lines:
            if line == b"q\n":
                return
            pgid = int(line[1:])
            if line[:1] == b"+":
                groups.add(pgid)
            else:
                groups.discard(pgid)
    end_all(groups, token, grace_s)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
