"""What processes use, as the kernel counts it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service_manager.linux import procfs
from service_manager.linux.members import members
from service_manager.linux.usage import usage
from service_manager.resources import MemoryUse, ResourceUse
from tests.integration.sleep.conftest import StartCounter

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not procfs.there(), reason="there is no /proc to look at"),
]

MB = 1024 * 1024
COUNTER = Path(__file__).with_name("counter.py")


async def test_everything_a_service_has_is_counted_together(start: StartCounter) -> None:
    async with start() as counter:
        alone = usage([counter.pid])
        assert alone.processes == 1
        assert alone.memory.pss > 40 * MB
        assert alone.cpu_s > 0
        await counter.ask("fork")
        both = usage([member.pid for member in members(counter.pid)])
        assert both.processes == 2
        # A fork shares its memory, and shared memory is counted once.
        assert both.memory.pss < 1.5 * alone.memory.pss
        assert both.cpu_s >= alone.cpu_s


async def test_network_of_the_whole_machine_is_not_told_as_that_of_a_service(start: StartCounter) -> None:
    async with start() as counter:
        used = usage([counter.pid])
        assert (used.received, used.sent) == (None, None)


@pytest.fixture
def unshare() -> str:
    """The program that gives a network namespace of its own."""
    found = shutil.which("unshare")
    if not found or subprocess.run([found, "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made")
    return found


async def test_network_in_a_namespace_of_its_own_is_told(start: StartCounter, unshare: str) -> None:
    async with start(unshare, "-n", sys.executable, str(COUNTER)) as counter:
        used = usage([counter.pid])
        assert (used.received, used.sent) == (0, 0)


def test_bytes_written_to_a_device_are_counted(tmp_path: Path) -> None:
    before = usage([os.getpid()]).disk_written
    with (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(os.urandom(MB))
        os.fsync(file.fileno())
    assert usage([os.getpid()]).disk_written - before in range(MB, 4 * MB)


def test_processes_that_are_gone_use_nothing() -> None:
    assert usage([2**22 + 1]) == ResourceUse(0.0, MemoryUse(0), processes=0)
