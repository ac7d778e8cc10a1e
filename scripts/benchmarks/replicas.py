"""Two real ContextForge gateways on this machine that share one counting MCP server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.contextforge_try.lab import GATEWAY, GATEWAY_BEFORE_3_12, Lab, Server

SERVER = "counting"

SETTINGS: Mapping[str, str] = {
    # With it the gateway refuses session ids that a client invents, and opens a session for each call.
    "USE_STATEFUL_SESSIONS": "false",
}


@dataclass(frozen=True, slots=True)
class Replica:
    """A gateway that runs.

    Attributes:
        url: its address.
        pid: the process to freeze, which leads the group of all of its own.
    """

    url: str
    pid: int

    def freeze(self) -> None:
        """Stop it without a word: its connections stay open and nothing answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on where it was stopped; nothing happens where it has ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGCONT)


class _ReplicaLab(Lab):
    """A gateway with one server, which runs elsewhere.

    Args:
        home: its directory.
        python: the interpreter for the gateway's own environment.
        address: of the server.
        like: the directory of another one, whose installation and secrets this one uses too.
    """

    def __init__(self, home: Path, *, python: str, address: str, like: Path | None = None) -> None:
        super().__init__(home, python=python)
        self._address = address
        self._like = like

    def started(self) -> Replica:
        """Start it anew, and say where it is.

        Raises:
            LabError: a step failed.
        """
        if self._like is not None:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in ("venv-gateway", "secrets.json"):
                place = self.home / name
                if not place.is_symlink():
                    place.symlink_to(self._like / name)
        exports = dict(
            line.removeprefix("export ").split("=", 1) for line in self.up(0, SETTINGS).splitlines()
        )
        return Replica(exports["GATEWAY_URL"], self._processes.running()["gateway"])

    def token(self) -> str:
        """A token for its tools."""
        return self._token()

    def _install(self) -> tuple[Server, ...]:
        gateway = GATEWAY if self._python_version() >= (3, 12) else GATEWAY_BEFORE_3_12
        self._venv("gateway", self._python, gateway)
        return (Server(SERVER, ()),)

    def _start_server(self, server: Server) -> str:
        return self._address


@contextmanager
def counting_server() -> Generator[str]:
    """Run the counting server in a process of its own; gives its address."""
    command = [sys.executable, "-m", "scripts.benchmarks.counting_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def two_replicas(home: Path, python: str, address: str) -> Generator[tuple[tuple[Replica, Replica], str]]:
    """Run two gateways with the server at an address; gives them, and a token that both take.

    Args:
        home: where they are installed; what is there already is used again.
        python: the interpreter for the gateway's own environment.
        address: of the MCP server that both have.

    Raises:
        LabError: a step failed.
    """
    first = _ReplicaLab(home / "one", python=python, address=address)
    second = _ReplicaLab(home / "two", python=python, address=address, like=home / "one")
    started: list[Replica] = []
    try:
        started.append(first.started())
        started.append(second.started())
        yield (started[0], started[1]), first.token()
    finally:
        for replica in started:
            replica.go_on()
        for lab in (first, second):
            lab.down()
