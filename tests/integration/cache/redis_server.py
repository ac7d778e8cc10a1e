"""A real redis-server, started for the tests: on 127.0.0.1, without files, with a password."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path

BINARY = shutil.which("redis-server")
PASSWORD = "correct-horse"


class RedisServer:
    """Starts, stops and freezes one server; its address stays the same."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Return when it accepts connections."""
        assert BINARY is not None
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._directory, "requirepass": PASSWORD}
        argv = [BINARY, "--save", "", "--appendonly", "no"]
        for name, value in options.items():
            argv += [f"--{name}", str(value)]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said: list[str] = []
        for line in self._process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                return
        raise AssertionError("".join(said))

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.communicate()
