"""Swap that exists for the time of a test module, and services that sleep."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from service_manager.linux.capabilities import Capabilities, SwapKind, probe
from service_manager.linux.swap import areas
from tests.integration.sleep.service import Counter

SWAPFILE = Path(__file__).parents[3] / "scripts" / "swapfile"
ZRAM = Path("/sys/block/zram0")


class StartCounter(Protocol):
    """Starts a counter for the time of a block."""

    def __call__(self, *wrapper: str) -> AbstractAsyncContextManager[Counter]: ...


@pytest.fixture
def start() -> StartCounter:
    """Starts counters as services are started, below a wrapper where one is given."""

    @asynccontextmanager
    async def run(*wrapper: str) -> AsyncGenerator[Counter]:
        service = Path(__file__).with_name("counter.py")
        async with Counter.started(wrapper or (sys.executable, str(service))) as counter:
            yield counter

    return run


@pytest.fixture(scope="module")
def disk_swap(tmp_path_factory: pytest.TempPathFactory) -> Generator[Capabilities]:
    """A machine with swap on a disk only."""
    _need_root()
    file = tmp_path_factory.mktemp("swap") / "file"
    made = subprocess.run([SWAPFILE, "make", file, "256M"], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no swap file can be made: {made.stderr.strip()}")
    try:
        yield _probed(SwapKind.DISK)
    finally:
        subprocess.run([SWAPFILE, "remove", file], check=True)


@pytest.fixture(scope="module")
def zram_swap() -> Generator[Capabilities]:
    """A machine with swap on zram only."""
    _need_root()
    device = Path("/dev/zram0")
    if not device.exists() or (ZRAM / "disksize").read_text().strip() != "0":
        pytest.skip("there is no unused /dev/zram0")
    (ZRAM / "disksize").write_text("256M")
    try:
        subprocess.run(["mkswap", device], check=True, capture_output=True)
        subprocess.run(["swapon", device], check=True)
        try:
            yield _probed(SwapKind.ZRAM)
        finally:
            subprocess.run(["swapoff", device], check=True)
    finally:
        (ZRAM / "reset").write_text("1")


@pytest.fixture
def no_swap() -> Capabilities:
    """A machine without swap, whatever this one has."""
    return Capabilities(sys.platform, process_madvise=True, nice=True, peek=True)


def _need_root() -> None:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root on Linux can make swap")
    if areas():
        pytest.skip("this machine has swap already, which is left alone")


def _probed(kind: SwapKind) -> Capabilities:
    found = probe()
    assert found.swap is kind
    if not (found.process_madvise and found.nice and found.peek):
        pytest.skip("this machine does not let other processes be paged out")
    return found
