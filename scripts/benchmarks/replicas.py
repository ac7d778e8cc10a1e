"""Two real ContextForge gateways on this machine that share counting MCP servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.contextforge_try.lab import GATEWAY, GATEWAY_BEFORE_3_12, Lab, Server
from scripts.contextforge_try.steps import LabError

SETTINGS: Mapping[str, str] = {
    # With it the gateway refuses session ids that a client invents, and opens a session for each call.
    "USE_STATEFUL_SESSIONS": "false",
    # Held calls are held for longer than the minute that is usual.
    "TOOL_TIMEOUT": "600",
}

TOOLS_S = 60.0
"""How long a gateway may take to list the tools of a server that it was given."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A gateway that runs.

    Attributes:
        url: its address.
        pid: the process that answers there.
    """

    url: str
    pid: int

    def freeze(self) -> None:
        """Stop it without a word: its connections stay open and nothing answers.

        Raises:
            ProcessLookupError: it has ended.
        """
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on where it was stopped; nothing happens where it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)


class _ReplicaLab(Lab):
    """A gateway whose servers run elsewhere.

    Args:
        home: its directory.
        python: the interpreter for the gateway's own environment.
        servers: their addresses, by the names they get.
        like: the directory of another one, whose installation and secrets this one uses too.
    """

    def __init__(
        self, home: Path, *, python: str, servers: Mapping[str, str], like: Path | None = None
    ) -> None:
        super().__init__(home, python=python)
        self._servers = servers
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
        return tuple(Server(name, ()) for name in self._servers)

    def _start_server(self, server: Server) -> str:
        return self._servers[server.name]


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
def two_replicas(
    home: Path, python: str, servers: Mapping[str, str]
) -> Generator[tuple[tuple[Replica, Replica], str]]:
    """Run two gateways with the same servers; gives them, and a token that both take.

    Args:
        home: where they are installed; what is there already is used again.
        python: the interpreter for the gateway's own environment.
        servers: the addresses of their MCP servers, by the names they get.

    Raises:
        LabError: a step failed.
    """
    first = _ReplicaLab(home / "one", python=python, servers=servers)
    second = _ReplicaLab(home / "two", python=python, servers=servers, like=home / "one")
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


@contextmanager
def registered(url: str, token: str, servers: Mapping[str, str]) -> Generator[None]:
    """Have a gateway that runs already know servers for the time of the block.

    Raises:
        LabError: it refused one, or does not list their tools.
    """
    known: list[str] = []
    try:
        for name, address in servers.items():
            body = {"name": name, "url": address, "transport": "STREAMABLEHTTP"}
            known.append(str(_ask(url, token, "POST", "/v1/gateways", body)["id"]))
        deadline = time.monotonic() + TOOLS_S
        while not {row["gatewaySlug"] for row in _ask(url, token, "GET", "/v1/tools?limit=0")} >= {*servers}:
            if time.monotonic() > deadline:
                raise LabError(f"{url} does not list the tools of {', '.join(servers)}.")
            time.sleep(0.5)
        yield
    finally:
        for one in known:
            with suppress(LabError):
                _ask(url, token, "DELETE", f"/v1/gateways/{one}")


def _ask(url: str, token: str, method: str, path: str, body: object = None) -> Any:
    request = urllib.request.Request(
        url.rstrip("/") + path, method=method, data=None if body is None else json.dumps(body).encode()
    )
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:300]
        raise LabError(f"{method} {url}{path} was answered {error.code}: {said}") from error
    except (OSError, ValueError) as error:
        raise LabError(f"{method} {url}{path} failed: {error}") from error
