"""Steps that take a while, and processes that outlive the script: run, shown, remembered, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


class LabError(Exception):
    """A step failed; the text says which, and where its output is."""


def say(text: str) -> None:
    """Tell the person at the terminal; stdout is for their shell."""
    print(text, file=sys.stderr, flush=True)


def run_shown(what: str, argv: Sequence[str], log: Path, *, cwd: Path | None = None) -> None:
    """Run a command and show that it lives: a line every five seconds, with the last line of its output.

    Raises:
        LabError: it failed, or there is no such program.
    """
    say(f"{what} ...")
    began = time.monotonic()
    shown = began
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(argv, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=cwd)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed.") from None
    try:
        while process.poll() is None:
            time.sleep(0.2)
            if time.monotonic() - shown >= 5:
                shown = time.monotonic()
                say(f"  {shown - began:3.0f} s  {_last_line(log)}")
    finally:
        if process.poll() is None:
            process.kill()
    if process.returncode:
        tail = log.read_text(errors="replace").splitlines()[-10:]
        say("\n".join(tail))
        raise LabError(f"{what}: exit status {process.returncode}; the whole output is in {log}.")
    say(f"  done in {time.monotonic() - began:.0f} s")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return next(
        (line[:90] for line in reversed(lines) if not line.lower().startswith(("warning", "npm warn"))), ""
    )


def free_port() -> int:
    """A port of 127.0.0.1 where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def is_taken(port: int) -> bool:
    """Whether something listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Processes:
    """The processes started here, noted in a file with the time each began.

    A process id is used again by the system: the time tells ours from a later one's.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def start(self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path) -> None:
        """Start a process that lives on when this script ends."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                argv,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        noted = self._noted()
        noted[name] = (process.pid, _began(process.pid))
        self._file.write_text(json.dumps(noted, indent=1))
        say(f"Started {name} (process {process.pid}).")

    def running(self) -> dict[str, int]:
        """The ids of those that still live, by name."""
        return {
            name: int(pid) for name, (pid, began) in self._noted().items() if began and _began(pid) == began
        }

    def stop(self) -> None:
        """Stop them all, with everything they started; those that do not go in time are killed."""
        left = self.running()
        for number, patience_s in ((signal.SIGTERM, 8.0), (signal.SIGKILL, 2.0)):
            for pid in left.values():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, number)
            deadline = time.monotonic() + patience_s
            while left and time.monotonic() < deadline:
                for name in [name for name, pid in left.items() if not _began(pid)]:
                    say(f"Stopped {name} (process {left.pop(name)}).")
                time.sleep(0.1)
        self._file.unlink(missing_ok=True)

    def _noted(self) -> dict[str, tuple[int, str]]:
        try:
            noted: dict[str, list[str]] = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return {name: (int(pid), began) for name, (pid, began) in noted.items()}


def _began(pid: int) -> str:
    """When a process began, as `ps` says it; empty when there is none, or only its exit status is left."""
    argv = ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    state, _, began = (
        subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip().partition(" ")
    )
    return "" if state.startswith("Z") else began.strip()
