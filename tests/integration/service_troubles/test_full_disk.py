"""A disk that is full: what can't be written is told, and everything goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from service_manager.config.lock import Lock
from service_manager.daemon.client import DaemonClient, ensure_daemon
from service_manager.daemon.place import place_of
from service_manager.errors import InstallError
from service_manager.install.installer import Installer
from service_manager.lifecycle.keepsakes import StoredKeepsakes
from service_manager.model import PackageSource, ServiceSpec
from service_manager.monitor.history import History
from service_manager.monitor.sample import Sample
from tests.integration.daemon.wire_client import LEGACY, WireClient
from tests.integration.service_troubles.trouble import (
    ARGV,
    LIMIT_S,
    ROOT,
    alive,
    ask,
    ignore,
    kill,
    manager_of,
    trouble,
    until,
)

pytestmark = pytest.mark.anyio

ROOM = 512 * 1024
"""Bytes of a small file system."""

PACKAGE = PackageSource("pypi", "never-there", "1.0")
"""It is never asked for: without room there is not even an environment to install it into."""


@pytest.fixture
def small() -> Generator[Path]:
    """A file system of half a megabyte, at a path that a socket's fits below."""
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("only root can mount a small file system")
    directory = Path(tempfile.mkdtemp(prefix="small-"))
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=700", "tmpfs", str(directory)]
    if subprocess.run(mounting, check=False, capture_output=True).returncode:
        directory.rmdir()
        pytest.skip("no file system can be mounted here")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)
    directory.rmdir()


def fill(filler: Path) -> Path:
    """Let a file take all that is left of a small file system."""
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        for _ in range(ROOM // 4096 + 1):
            file.write(b"x" * 4096)
        pytest.fail(f"{filler} is not in the small file system")
    return filler


async def test_keepsakes_that_cannot_be_written_are_told_and_written_once_they_can(small: Path) -> None:
    service = trouble()
    keepsakes = StoredKeepsakes(small / "services", Lock({}))
    await keepsakes.keep_habits({"before": 1})
    filler = fill(small / "filler")
    with capture_logs() as logs:
        manager = manager_of(service, keepsakes=keepsakes)
        async with manager.open():
            assert await ask(manager, "echo", text="x") == "x"
            await until(lambda: bool(manager.known("s").about))
    told = [log for log in logs if log["event"] == "keepsake_not_written"]
    assert told
    assert all("No space left" in log["error"] for log in told)
    # What was there before is whole.
    assert keepsakes.habits() == {"before": 1}

    filler.unlink()
    manager = manager_of(service, keepsakes=keepsakes)
    async with manager.open():
        await manager.ready("s")
        await until(lambda: bool(keepsakes.known(service).about))


async def test_a_history_that_cannot_be_written_goes_on_in_memory_with_what_it_had(small: Path) -> None:
    now = time.time()
    history = History(small / "usage.sqlite3")
    await history.add([Sample(now - 10, "s", processes=1)], now)
    fill(small / "filler")
    with capture_logs() as logs:
        for number in range(300):
            await history.add([Sample(now + number, "s", processes=2)] * 5, now)
    kept = await history.since("s", now - 60)
    await history.aclose()
    assert len(kept) == 1501
    assert [log["event"] for log in logs] == ["usage_history_in_memory_only"]
    assert "free some space" in logs[0]["next_step"]


async def test_an_installation_without_room_fails_and_leaves_nothing_half_done(small: Path) -> None:
    spec = ServiceSpec("p", PACKAGE)
    packages = small / "packages"
    fill(small / "filler")
    installer = Installer(packages, Lock({}), os.environ)
    with pytest.raises(InstallError):
        await installer.install(spec, ignore)
    assert installer.installed(spec) is None
    assert not installer.directory(PACKAGE).exists()


async def test_a_daemon_whose_log_can_take_no_more_serves_on(small: Path) -> None:
    file = small / "services.yml"
    file.write_text(json.dumps({"services": {"s": {"command": list(ARGV)}}}))
    environ = {"PATH": os.environ["PATH"], "TOOL_ROUTER_HOME": str(small), "PYTHONPATH": str(ROOT)}
    address = await ensure_daemon(file, environ, LIMIT_S)
    try:
        fill(place_of(file, environ).log)
        async with DaemonClient(address) as daemon, address.http() as http:
            client = WireClient(http, "/services/s/mcp", LEGACY)
            await client.connect()
            with anyio.fail_after(LIMIT_S):
                for _ in range(2):
                    assert await client.text("echo", text="x") == "x"
                    assert "the disk is on fire" in json.dumps(await client.call("crash"))
                await daemon.do("s", "start")
                await daemon.do("s", "sleep")
                await daemon.do("s", "stop")
            assert (await daemon.service("s"))["state"] == "stopped"
            await daemon.shutdown()
        await until(lambda: not alive(address.pid))
    finally:
        kill(address.pid)
