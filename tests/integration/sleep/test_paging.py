"""Paging out real processes to a real disk: memory is freed, nothing is lost, a wake waits for nothing."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from pathlib import Path

import anyio
import pytest

from service_manager.drivers.sleeping import ProcessSleeper
from service_manager.linux import procfs
from service_manager.linux.capabilities import Capabilities
from service_manager.linux.procfs import sizes
from service_manager.linux.swap import MEMINFO
from service_manager.model import Tier
from tests.integration.sleep.conftest import StartCounter

pytestmark = pytest.mark.anyio

MB = 1024 * 1024
PROMPT_S = 0.15
"""What a wake may take on a busy machine; the second pass alone, which it must not wait for, takes 0.3 s."""


READER = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
sum(mapped[::mmap.PAGESIZE])
print("mapped", flush=True)
sys.stdin.read()
"""


def cached() -> int:
    """Bytes in the swap cache: paged out, and yet in memory."""
    return sizes(MEMINFO.read_bytes())["SwapCached"]


@pytest.mark.parametrize("tier", [Tier.PAGED_HOT, Tier.PAGED_FULL])
async def test_a_service_keeps_its_state_and_gives_its_memory_back_over_five_sleeps(
    start: StartCounter, disk_swap: Capabilities, tier: Tier
) -> None:
    async with start() as counter:
        sleeper = ProcessSleeper(counter.pid, disk_swap)
        assert sleeper.tiers == (Tier.FROZEN, Tier.PAGED_HOT, Tier.PAGED_FULL)
        assert not sleeper.missing
        awake = await sleeper.memory()
        whole = counter.resident()
        before = cached()
        for cycle in range(5):
            await sleeper.sleep(tier)
            asleep = await sleeper.memory()
            assert counter.resident() < 0.4 * whole
            assert asleep.held < 0.4 * awake.held
            assert asleep.swap > 20 * MB
            assert asleep.compressed == 0
            # What was brought back is mapped, and counted as such, besides being in the swap cache.
            mapped = counter.resident() if tier is Tier.PAGED_HOT else 0
            assert cached() - before < 10 * MB + mapped
            ticks = counter.ticks()
            await anyio.sleep(0.05)
            assert counter.ticks() == ticks
            await sleeper.wake()
            assert await counter.ask("add") == str(cycle + 1)
        assert await counter.ask("look") == "True"


async def test_pages_a_wake_needed_stay_in_memory_at_the_next_sleep(
    start: StartCounter, disk_swap: Capabilities
) -> None:
    async with start() as counter:
        sleeper = ProcessSleeper(counter.pid, disk_swap)

        async def faults_of_a_wake(tier: Tier) -> int:
            await sleeper.sleep(tier)
            before = major_faults(counter.pid)
            await sleeper.wake()
            await counter.ask("add")
            return major_faults(counter.pid) - before

        nothing_kept = await faults_of_a_wake(Tier.PAGED_FULL)
        later = [await faults_of_a_wake(Tier.PAGED_HOT) for _ in range(3)]
        assert nothing_kept > 50
        assert min(later) < nothing_kept / 4


async def test_a_file_that_a_sleeper_maps_is_not_its_memory_and_is_still_cached(
    tmp_path: Path, disk_swap: Capabilities
) -> None:
    file = tmp_path / "data"
    file.write_bytes(os.urandom(8 * MB))
    # What the disk does not have yet can't leave memory.
    os.sync()
    async with await anyio.open_process(
        [sys.executable, "-c", READER, file], start_new_session=True
    ) as reader:
        try:
            assert reader.stdout is not None
            assert (await reader.stdout.receive()).startswith(b"mapped")
            sleeper = ProcessSleeper(reader.pid, disk_swap)
            awake = await sleeper.memory()
            await sleeper.sleep(Tier.PAGED_FULL)
            assert (await sleeper.memory()).pss < awake.pss - 7 * MB
            assert share_in_memory(file) > 0.95
            await sleeper.wake()
        finally:
            reader.kill()


@pytest.mark.alone
@pytest.mark.parametrize("patience_s", [0.0, 0.001, 0.01, 0.03, 0.2])
async def test_a_sleep_that_is_cancelled_leaves_the_service_awake_at_once(
    start: StartCounter, disk_swap: Capabilities, patience_s: float
) -> None:
    """At any moment: before it is frozen, between two batches, while the disk writes."""
    async with start() as counter:
        sleeper = ProcessSleeper(counter.pid, disk_swap)
        with anyio.move_on_after(patience_s) as scope:
            await sleeper.sleep(Tier.PAGED_FULL)
        late = anyio.current_time() - scope.deadline
        assert scope.cancelled_caught
        assert late < PROMPT_S
        assert counter.states() <= {"R", "S", "D"}
        assert await counter.ask("add") == "1"
        assert await counter.ask("look") == "True"


async def test_a_service_sleeps_deeper_without_waking(start: StartCounter, disk_swap: Capabilities) -> None:
    async with start() as counter:
        sleeper = ProcessSleeper(counter.pid, disk_swap)
        whole = counter.resident()
        await sleeper.sleep(Tier.FROZEN)
        assert counter.resident() > 0.9 * whole
        await counter.tell("add")
        await sleeper.sleep(Tier.PAGED_FULL)
        assert counter.states() == {"T"}
        assert counter.resident() < 0.3 * whole
        await sleeper.wake()
        assert await counter.answer() == "1"


def share_in_memory(file: Path) -> float:
    """The share of a file's pages that the kernel's cache holds; see mincore(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        held = (ctypes.c_ubyte * (len(mapped) // mmap.PAGESIZE))()
        start = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(mapped)))
        assert libc.mincore(start, ctypes.c_size_t(len(mapped)), held) == 0, ctypes.get_errno()
        del start
        return sum(page & 1 for page in held) / len(held)


def major_faults(pid: int) -> int:
    """How often a process had to wait for a page from a device."""
    return int(procfs.read(pid, "stat").rpartition(b")")[2].split()[9])
