"""Starts the watchdog with the first service and tells it what to end with us."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from service_manager.drivers import watchdog


class Guardian:
    """Holds the pipe whose end tells the watchdog that this process is gone."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def guard(self, group: int) -> None:
        """End this process group when this process dies."""
        self._tell(f"+{group}\n")

    def release(self, group: int) -> None:
        """Forget a group that has ended: its number may be given to another."""
        self._tell(f"-{group}\n")

    def guard_by(self, argv: Sequence[str]) -> None:
        """Run this command when this process dies: it ends what is no process group, such as containers."""
        self._tell(f"+{json.dumps(list(argv))}\n")

    def release_by(self, argv: Sequence[str]) -> None:
        """Forget a command: what it would end is gone."""
        self._tell(f"-{json.dumps(list(argv))}\n")

    def close(self) -> None:
        """End the watchdog; what is still registered ends with it."""
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None
        try:
            process.stdin.close()
        except BrokenPipeError:
            return
        process.wait(timeout=watchdog.GRACE_S + watchdog.COMMAND_S + 5)

    def _tell(self, line: str) -> None:
        if self._process is None or self._process.poll() is not None:
            # Its own session: a signal to the terminal's group must not reach it.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(watchdog.__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                bufsize=0,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode())
