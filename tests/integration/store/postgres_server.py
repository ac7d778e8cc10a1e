"""A real PostgreSQL, made and started for the tests: on a unix socket and 127.0.0.1."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

PASSWORD = "battery-staple"
USER = "router"


def binaries() -> Path | None:
    """Where initdb and postgres are; None when PostgreSQL is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])
    )
    return versions[-1].parent if versions else None


def _account() -> str | None:
    """Whom the server runs as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class PostgresServer:
    """Makes, starts, stops and freezes one server; its address stays the same."""

    def __init__(self, bin_directory: Path) -> None:
        self._bin = bin_directory
        self._account = _account()
        # Not pytest's own directory: the server's account must be able to enter it.
        self.directory = Path(tempfile.mkdtemp(prefix="tool-router-pg-"))
        if self._account:
            shutil.chown(self.directory, self._account)
        self._data = self.directory / "data"
        self._process: subprocess.Popen[str] | None = None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        password_file = self.directory / "password"
        password_file.write_text(PASSWORD)
        if self._account:
            shutil.chown(password_file, self._account)
        argv = ["initdb", "--no-sync", "-D", str(self._data), "-U", USER, "-E", "UTF8", "--locale=C.UTF-8"]
        argv += ["-A", "scram-sha-256", f"--pwfile={password_file}"]
        subprocess.run(
            [self._bin / argv[0], *argv[1:]], check=True, capture_output=True, user=self._account, cwd="/"
        )

    @property
    def url(self) -> str:
        """By way of the unix socket."""
        return f"postgresql://{USER}:{PASSWORD}@/postgres?host={self.directory}&port={self.port}"

    @property
    def tcp_url(self) -> str:
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Return when it accepts connections."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.directory,
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": 60,
        }
        argv = [str(self._bin / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        self._process = subprocess.Popen(
            argv, stderr=subprocess.PIPE, text=True, user=self._account, cwd="/", start_new_session=True
        )
        assert self._process.stderr is not None
        said: list[str] = []
        for line in self._process.stderr:
            said.append(line)
            if "ready to accept connections" in line:
                return
        raise AssertionError("".join(said))

    def freeze(self) -> None:
        """Stop every process of it in its tracks; connections stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it at once, with every session."""
        if self._process is not None:
            self._signal(signal.SIGCONT)
            # Fast shutdown: sessions are ended, not waited for.
            self._process.send_signal(signal.SIGINT)
            self._process.communicate(timeout=30)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        """To the server and the process of each session, which lead groups of their own."""
        assert self._process is not None
        for line in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = line.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            pid = int(line.parent.name)
            if self._process.pid in (pid, int(fields[1])):
                os.kill(pid, number)
