"""Paging out real processes to a real disk: memory is freed, nothing is lost, a wake waits for nothing."""

from __future__ import annotations

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
            assert cached() - before < 10 * MB
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
        assert not sleeper.learned

        async def faults_of_a_wake() -> int:
            await sleeper.sleep(Tier.PAGED_HOT)
            before = major_faults(counter.pid)
            await sleeper.wake()
            await counter.ask("add")
            return major_faults(counter.pid) - before

        first = await faults_of_a_wake()
        later = [await faults_of_a_wake() for _ in range(3)]
        assert sleeper.learned
        assert first > 50
        assert min(later) < first / 4


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


def major_faults(pid: int) -> int:
    """How often a process had to wait for a page from a device."""
    return int(procfs.read(pid, "stat").rpartition(b")")[2].split()[9])
