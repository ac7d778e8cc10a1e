"""A Docker engine of our own, started for the tests: the machine's network, everything in one directory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import docker

from tests.integration.docker import image

IMAGE = "small:1"
BROKEN = "broken:1"
WATCHED = "watched:1"

START_S = 30.0

_WITH_US = ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()
"""Ends the engine with the tests, also when they are killed."""


def missing() -> str:
    """What there is no engine for; empty when there can be one."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "an engine of our own takes root on Linux"
    if shutil.which("dockerd") is None:
        return "dockerd is not installed (apt-get install docker.io)"
    return ""


class EngineProcess:
    """One dockerd with its images.

    Attributes:
        host: where it listens, as in DOCKER_HOST.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._groups = set(_groups())
        self.host = f"unix://{directory}/docker.sock"

    def start(self) -> None:
        """Return when it answers; on overlayfs where that works, else without layers."""
        for storage in ("overlay2", "vfs"):
            if self._start(storage):
                return
        raise AssertionError(self._log().read_text()[-3000:])

    def load(self) -> None:
        """Give it the images."""
        client = self.client()
        try:
            archive = image.archive()
            entry = f"ENTRYPOINT {json.dumps(image.entrypoint())}"
            check = f"HEALTHCHECK --interval=1s CMD {json.dumps([*image.entrypoint()[:3], '-c', 'pass'])}"
            for name, changes in (
                (IMAGE, [entry]),
                (WATCHED, [entry, check]),
                (BROKEN, ['ENTRYPOINT ["/nothing"]']),
            ):
                repository, tag = name.split(":")
                client.import_image_from_data(archive, repository=repository, tag=tag, changes=changes)
        finally:
            client.close()

    def client(self) -> docker.APIClient:
        """The SDK's client of it."""
        return docker.APIClient(self.host, version="auto", timeout=20)

    def containers(self) -> list[str]:
        """The names of all containers, running or not."""
        client = self.client()
        try:
            return [found["Names"][0].lstrip("/") for found in client.containers(all=True)]
        finally:
            client.close()

    def stop(self) -> None:
        """End it, and leave nothing of it in the machine."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if (mounted := line.split()[1]).startswith(str(self._directory)):
                subprocess.run(["umount", "--lazy", mounted], check=False)
        for group in set(_groups()) - self._groups:
            with suppress(OSError):
                group.rmdir()

    def _start(self, storage: str) -> bool:
        options = {
            "data-root": self._directory / "data",
            "exec-root": self._directory / "run",
            "pidfile": self._directory / "pid",
            "host": self.host,
            "bridge": "none",
            "storage-driver": storage,
            "iptables": "false",
            "ip6tables": "false",
        }
        with self._log().open("wb") as log:
            self._process = subprocess.Popen(
                [*_WITH_US, "dockerd", *(f"--{name}={value}" for name, value in options.items())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(docker.errors.DockerException):
                self.client().close()
                return True
            time.sleep(0.05)
        self.stop()
        return False

    def _log(self) -> Path:
        return self._directory / "dockerd.log"


def _groups() -> list[Path]:
    """The control groups that engines make for their containers, of either version."""
    return [*Path("/sys/fs/cgroup").glob("docker"), *Path("/sys/fs/cgroup").glob("*/docker")]
