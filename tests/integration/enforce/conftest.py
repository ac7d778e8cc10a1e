"""Greedy processes, and enforcers that leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from service_manager.enforce.enforcer import Enforcer
from service_manager.enforce.groups import bases
from service_manager.enforce.hierarchy import hierarchies
from service_manager.resources import Limits

if sys.platform != "linux":
    pytest.skip("limits are enforced on Linux only", allow_module_level=True)

PROGRAM = Path(__file__).parent / "greedy.py"


class Greedy:
    """A process that waits until it is let go."""

    def __init__(self, *arguments: object, user: int | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(PROGRAM), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "GREEDY_USER": "" if user is None else str(user)},
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def go(self) -> str:
        """Let it do what it does, and return what it says of it; empty when it ended without a word."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[str, tuple[str, ...]]:
        """How it ended, in the words of drivers, and its last line; it is told to end if it stays."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        self.process.stdin.close()
        self.process.wait(timeout=20)
        # Processes it has left behind may hold the stream: what is there now is all of its own.
        os.set_blocking(self.process.stderr.fileno(), False)
        try:
            said = os.read(self.process.stderr.fileno(), 65536).decode()
        except BlockingIOError:
            said = ""
        code = self.process.returncode
        ending = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return ending, tuple(said.strip().splitlines()[-1:])

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()


@pytest.fixture
def greedy() -> Iterator[Callable[..., Greedy]]:
    started: list[Greedy] = []

    def start(*arguments: object, user: int | None = None) -> Greedy:
        started.append(Greedy(*arguments, user=user))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def enforcers() -> Iterator[Callable[..., Enforcer]]:
    made: list[Enforcer] = []

    def make(system: Limits | None = None, *, grouped: bool = True) -> Enforcer:
        made.append(Enforcer(system or Limits(), None if grouped else ()))
        return made[-1]

    yield make
    for enforcer in made:
        enforcer.close()


@pytest.fixture
def grouped() -> None:
    """Skips where no control group that limits anything can be made."""
    known = frozenset[str]().union(*(base.controllers for base in bases(hierarchies())))
    if not {"memory", "cpu", "pids"} <= known:
        pytest.skip("no control groups can be made here (not root, and nothing delegated)")
