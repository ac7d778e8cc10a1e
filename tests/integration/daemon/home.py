"""A services.yml, and the daemons of it as processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service_manager.daemon.address import read_address
from service_manager.daemon.place import Place, place_of
from tests.integration.daemon.served import RAW

ROOT = Path(__file__).parents[3]
STANDIN = "tests.integration.daemon.standin_daemon"
LIMIT_S = 20.0


@dataclass
class Home:
    """A services.yml and the environment its daemons run in."""

    directory: Path
    module: str = STANDIN
    started: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])

    @property
    def file(self) -> Path:
        return self.directory / "services.yml"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "TOOL_ROUTER_HOME": str(self.directory / "home"),
            "PYTHONPATH": str(ROOT),
        }

    @property
    def place(self) -> Place:
        return place_of(self.file, self.environ)

    def write(self, *names: str, args: Sequence[str] = ()) -> None:
        """Write services.yml with raw services of these names."""
        entries = "".join(
            f"  {name}:\n    command: ['{RAW[0]}', '{RAW[1]}']\n    args: {list(args)}\n" for name in names
        )
        self.file.write_text(f"services:\n{entries}" if names else "services: {}\n")

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start a daemon by hand."""
        argv = [sys.executable, "-m", self.module, "--file", str(self.file), *options]
        pipe = subprocess.PIPE
        process = subprocess.Popen(argv, env=self.environ, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)
        self.started.append(process)
        return process

    def serve(self, *options: str) -> subprocess.Popen[str]:
        """Start a daemon by hand, and wait until it says that it serves."""
        process = self.start(*options)
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("service-manager serves "), line + process.stderr.read()
        return process

    def end(self) -> None:
        """Kill the daemons that are left, and remove their files; these may be outside of the directory."""
        for process in self.started:
            process.kill()
            process.communicate()
        left = read_address(self.place)
        if left is not None and running(left.pid):
            os.kill(left.pid, signal.SIGKILL)
        shutil.rmtree(self.place.directory, ignore_errors=True)


@contextmanager
def ends(process: subprocess.Popen[str], code: int = 0) -> Generator[None]:
    """The process ends after the block, with this exit code."""
    yield
    process.wait(LIMIT_S)
    assert process.returncode == code


def running(pid: int) -> bool:
    """Whether a process is there and not only unburied."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
