"""Installs, starts, fills and stops the gateway and its servers, all in one directory."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.contextforge_try.steps import LabError, Processes, free_port, is_taken, run_shown, say

GATEWAY_BEFORE_3_12 = "mcp-contextforge-gateway==1.0.7.post20260921"
GATEWAY = "mcp-contextforge-gateway==1.1.0"
TIME_SERVER = "mcp-server-time==2026.10.19"
NPM_SERVERS = (
    "@modelcontextprotocol/server-everything@2026.8.31",
    "@modelcontextprotocol/server-filesystem@2026.8.31",
)
ADMIN = "admin@example.com"

SECRET_NAMES = (
    "JWT_SECRET_KEY",
    "AUTH_ENCRYPTION_SECRET",
    "PLATFORM_ADMIN_PASSWORD",
    "DEFAULT_USER_PASSWORD",
    "BASIC_AUTH_PASSWORD",
)


@dataclass(frozen=True, slots=True)
class Server:
    """An MCP server behind the gateway: its name there, and its stdio command."""

    name: str
    argv: tuple[str, ...]


class Lab:
    """One directory with everything in it.

    Args:
        home: the directory; made when missing.
        python: the interpreter for the gateway's own environment.
    """

    def __init__(self, home: Path, *, python: str) -> None:
        self.home = home
        self._python = python
        self._logs = home / "logs"
        self._run = home / "run"
        self._processes = Processes(home / "processes.json")

    def up(self, port: int, settings: Mapping[str, str]) -> str:
        """Install what is missing, start everything, and return the lines to export.

        Raises:
            LabError: a step failed.
        """
        for directory in (self.home, self._logs, self._run, self.home / "files"):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        servers = self._install()
        exports = self.home / "exports"
        if set(self._processes.running()) == {"gateway", *(server.name for server in servers)}:
            say("It runs already.")
            return exports.read_text()
        self._processes.stop()
        port = port or free_port()
        if is_taken(port):
            raise LabError(f"port {port} is taken; choose another with --port.")
        addresses = {server.name: self._start_server(server) for server in servers}
        url = f"http://127.0.0.1:{port}"
        self._start_gateway(port, settings)
        token = self._token()
        client = _Client(url, token)
        client.wait_until_healthy(lambda: "gateway" in self._processes.running(), self._logs / "gateway.log")
        for name, address in addresses.items():
            client.register(name, address)
        say(f"ContextForge runs at {url} with {client.tool_count()} tools of {', '.join(addresses)}.")
        exports.write_text(f"export GATEWAY_URL={url}\nexport GATEWAY_TOKEN={token}")
        exports.chmod(0o600)
        return exports.read_text()

    def down(self) -> None:
        """Stop everything that was started."""
        if not self._processes.running():
            say("Nothing runs.")
        self._processes.stop()

    def status(self) -> str:
        """What runs, a line each."""
        running = self._processes.running()
        return "\n".join(f"{name}: process {pid}" for name, pid in running.items()) or "nothing runs"

    def _install(self) -> tuple[Server, ...]:
        gateway = GATEWAY if self._python_version() >= (3, 12) else GATEWAY_BEFORE_3_12
        self._venv("gateway", self._python, gateway)
        self._venv("time", sys.executable, TIME_SERVER)
        npm = self.home / "npm"
        wanted = "\n".join(NPM_SERVERS)
        done = npm / "installed"
        if not done.exists() or done.read_text() != wanted:
            npm.mkdir(exist_ok=True)
            (npm / "package.json").write_text('{"private": true}')
            argv = ("npm", "install", "--no-audit", "--no-fund", "--prefix", str(npm), *NPM_SERVERS)
            run_shown(f"Installing {' and '.join(NPM_SERVERS)}", argv, self._logs / "npm.log")
            done.write_text(wanted)
        (self.home / "files" / "hello.txt").write_text("Hello from a file behind ContextForge.\n")
        bin_dir = npm / "node_modules" / ".bin"
        return (
            Server("everything", (str(bin_dir / "mcp-server-everything"), "stdio")),
            Server("filesystem", (str(bin_dir / "mcp-server-filesystem"), str(self.home / "files"))),
            Server("time", (str(self.home / "venv-time" / "bin" / "mcp-server-time"),)),
        )

    def _venv(self, name: str, python: str, requirement: str) -> None:
        directory = self.home / f"venv-{name}"
        done = directory / "installed"
        if done.exists() and done.read_text() == requirement:
            return
        log = self._logs / f"install-{name}.log"
        run_shown(f"Making {directory}", (python, "-m", "venv", "--clear", str(directory)), log)
        pip = (str(directory / "bin" / "pip"), "install", "--disable-pip-version-check")
        run_shown(f"Installing {requirement}", (*pip, "--progress-bar", "off", requirement), log)
        done.write_text(requirement)

    def _python_version(self) -> tuple[int, int]:
        try:
            found = subprocess.run(
                (self._python, "-c", "import sys; print(*sys.version_info[:2])"),
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise LabError(f"{self._python} is no python: {error}.") from error
        major, minor = found.stdout.split()
        return int(major), int(minor)

    def _start_server(self, server: Server) -> str:
        port = free_port()
        argv = (sys.executable, "-m", "scripts.contextforge_try.bridge", str(port), *server.argv)
        self._processes.start(server.name, argv, self._logs / f"{server.name}.log", os.environ, self._run)
        return f"http://127.0.0.1:{port}/mcp"

    def _start_gateway(self, port: int, settings: Mapping[str, str]) -> None:
        # A new process gets a new database: what is registered then is what runs.
        for stale in self._run.glob("gateway.db*"):
            stale.unlink()
        self._processes.start(
            "gateway",
            (
                str(self.home / "venv-gateway" / "bin" / "mcpgateway"),
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ),
            self._logs / "gateway.log",
            {**self._gateway_env(), "PORT": str(port), **settings},
            self._run,
        )

    def _gateway_env(self) -> dict[str, str]:
        """The gateway's settings and no other variables, so that no shell changes what is tried."""
        return {
            "PATH": f"{self.home / 'venv-gateway' / 'bin'}:{os.environ.get('PATH', '')}",
            "HOME": str(self._run),
            "LANG": "C.UTF-8",
            "DATABASE_URL": f"sqlite:///{self._run / 'gateway.db'}",
            "PLATFORM_ADMIN_EMAIL": ADMIN,
            # The servers are on this machine, which ContextForge refuses by default.
            "SSRF_ALLOW_LOCALHOST": "true",
            # Without it ContextForge does not relay progress.
            "USE_STATEFUL_SESSIONS": "true",
            "RATE_LIMITING_ENABLED": "false",
            "MCPGATEWAY_UI_ENABLED": "false",
            "LOG_LEVEL": "WARNING",
            **self._secrets(),
        }

    def _secrets(self) -> dict[str, str]:
        file = self.home / "secrets.json"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(json.dumps({name: secrets.token_urlsafe(48) for name in SECRET_NAMES}))
        return json.loads(file.read_text())

    def _token(self) -> str:
        made = subprocess.run(
            (
                str(self.home / "venv-gateway" / "bin" / "python"),
                *("-m", "mcpgateway.utils.create_jwt_token"),
                *("--username", ADMIN, "--admin", "--exp", "10080"),
            ),
            env={**self._gateway_env(), "LOG_LEVEL": "ERROR"},
            cwd=self._run,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = made.stdout.split()
        if made.returncode or not lines:
            raise LabError(f"no token could be made: {made.stderr[-500:]}")
        return lines[-1]


class _Client:
    """The few requests that set the gateway up."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def wait_until_healthy(self, lives: Callable[[], bool], log: Path) -> None:
        say("Waiting for the gateway (10 to 60 s) ...")
        deadline = time.monotonic() + 240
        while self._ask("GET", "/health")[0] != 200:
            if not lives():
                raise LabError(f"the gateway ended; see {log}.")
            if time.monotonic() > deadline:
                raise LabError(f"the gateway does not answer; see {log}.")
            time.sleep(0.3)

    def register(self, name: str, address: str) -> None:
        say(f"Registering {name} ...")
        body = {"name": name, "url": address, "transport": "STREAMABLEHTTP"}
        deadline = time.monotonic() + 60
        while True:
            status, answer = self._ask("POST", "/v1/gateways", body)
            if status in (200, 201):
                return
            # Its server may still be starting.
            if time.monotonic() > deadline:
                raise LabError(f"{name} could not be registered: {status} {answer}")
            time.sleep(1)

    def tool_count(self) -> int:
        deadline = time.monotonic() + 60
        while True:
            status, answer = self._ask("GET", "/v1/tools?limit=0")
            if status == 200 and answer:
                return len(answer)
            if time.monotonic() > deadline:
                raise LabError(f"the gateway lists no tools: {status} {answer}")
            time.sleep(0.5)

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            self._url + path, method=method, data=None if body is None else json.dumps(body).encode()
        )
        request.add_header("Authorization", f"Bearer {self._token}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")[:500]
        except (OSError, ValueError) as error:
            return 0, str(error)
