"""Starts the watchdog with the first service and tells it what to end with us."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from service_manager.drivers import watchdog


class Guardian:
    """Holds the pipe whose end tells the watchdog that this process is gone."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._mark = secrets.token_hex(8)
        self._held: dict[str, None] = {}

    def guard_marked(self, name: str) -> Mapping[str, str]:
        """End whatever has this in its environment when this process dies; what to add to that of a process.

        A process is marked before it starts, and guarded as a group only once its number is known: who is
        killed in between leaves no orphan. What leaves its group and its parent keeps its mark as well.

        Args:
            name: the service; processes of others are marked otherwise.
        """
        self._hold(f"={watchdog.MARK}={self._mark}/")
        return {watchdog.MARK: f"{self._mark}/{name}"}

    def guard(self, group: int) -> None:
        """End this process group when this process dies."""
        self._hold(f"+{group}")

    def release(self, group: int) -> None:
        """Forget a group that has ended: its number may be given to another."""
        self._forget(f"{group}")

    def guard_by(self, argv: Sequence[str]) -> None:
        """Run this command when this process dies: it ends what is no process group, such as containers."""
        self._hold(f"+{json.dumps(list(argv))}")

    def release_by(self, argv: Sequence[str]) -> None:
        """Forget a command: what it would end is gone."""
        self._forget(json.dumps(list(argv)))

    def close(self) -> None:
        """End the watchdog; what is still registered ends with it."""
        if self._process is None:
            return
        self._tell(watchdog.CLOSING)
        process, self._process = self._process, None
        assert process.stdin is not None
        try:
            process.stdin.close()
        except BrokenPipeError:
            return
        process.wait(timeout=watchdog.GRACE_S + watchdog.COMMAND_S + 5)

    def _hold(self, entry: str) -> None:
        if entry not in self._held:
            self._held[entry] = None
            self._tell(entry)

    def _forget(self, entry: str) -> None:
        self._held.pop(f"+{entry}", None)
        self._tell(f"-{entry}")

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.poll() is None and _written(self._process, line):
            return
        # There is none yet, or it was killed: a new one is told all that is held.
        self._process = subprocess.Popen(
            # Its own session: a signal to the terminal's group must not reach it.
            [sys.executable, "-I", "-S", str(Path(watchdog.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        for held in self._held:
            _written(self._process, held)


def _written(process: subprocess.Popen[bytes], line: str) -> bool:
    """Tell a watchdog a line; whether it was there to read it."""
    assert process.stdin is not None
    try:
        process.stdin.write(f"{line}\n".encode())
    except BrokenPipeError:
        return False
    return True
