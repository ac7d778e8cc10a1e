"""Freezing real processes, with everything they are, and letting them continue."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from service_manager.drivers.sleeping import BATCH, ProcessSleeper
from service_manager.errors import SleepFailed
from service_manager.linux import procfs, stopping
from service_manager.linux.capabilities import Capabilities, SwapKind
from service_manager.linux.members import members
from service_manager.model import Tier
from tests.integration.sleep.conftest import StartCounter
from tests.integration.sleep.service import state

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not procfs.there(), reason="there is no /proc to look at"),
]

COUNTER = Path(__file__).with_name("counter.py")
UNIFIED = next(
    (
        path
        for path in map(Path, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"))
        if (path / "cgroup.controllers").exists()
    ),
    None,
)


@pytest.fixture
def group() -> Generator[Path]:
    """A control group of version 2 for one service."""
    if UNIFIED is None or not os.access(UNIFIED, os.W_OK):
        pytest.skip("no control group of version 2 can be made")
    made = UNIFIED / f"tool-router-test-{os.getpid()}"
    made.mkdir()
    try:
        yield made
    finally:
        deadline = time.monotonic() + 5
        (made / "cgroup.freeze").write_text("0")
        (made / "cgroup.kill").write_text("1")
        while (made / "cgroup.procs").read_text() and time.monotonic() < deadline:
            os.sched_yield()
        made.rmdir()


@pytest.mark.alone
async def test_without_swap_a_service_is_frozen_and_paging_is_not_offered(
    start: StartCounter, no_swap: Capabilities
) -> None:
    async with start() as counter:
        sleeper = ProcessSleeper(counter.pid, no_swap)
        assert sleeper.tiers == (Tier.FROZEN,)
        assert "no swap" in sleeper.missing
        with pytest.raises(SleepFailed, match="scripts/swapfile make"):
            await sleeper.sleep(Tier.PAGED_HOT)
        assert counter.states() <= {"R", "S"}
        await sleeper.sleep(Tier.FROZEN)
        assert counter.states() == {"T"}
        await counter.tell("add")
        await sleeper.wake()
        assert await counter.answer() == "1"


async def test_a_frozen_service_uses_no_processor(start: StartCounter, no_swap: Capabilities) -> None:
    async with start() as counter:
        await counter.ask("fork")
        sleeper = ProcessSleeper(counter.pid, no_swap)
        await sleeper.sleep(Tier.FROZEN)
        before = counter.ticks()
        # Its busy child collects a tick every 10 ms while it runs.
        await anyio.sleep(0.2)
        assert counter.ticks() == before
        await sleeper.wake()
        await anyio.sleep(0.2)
        assert counter.ticks() > before


async def test_the_child_of_a_wrapper_is_stopped_with_it(start: StartCounter, no_swap: Capabilities) -> None:
    async with start("sh", "-c", f"'{sys.executable}' '{COUNTER}'; exit 0") as counter:
        wrapper, server = members(counter.pid)
        assert (wrapper.pid, server.parent) == (counter.pid, counter.pid)
        sleeper = ProcessSleeper(counter.pid, no_swap)
        await sleeper.sleep(Tier.FROZEN)
        assert state(server.pid) == "T"
        await sleeper.wake()
        assert await counter.ask("add") == "1"


async def test_a_descendant_that_left_the_group_is_stopped_and_continues(
    start: StartCounter, no_swap: Capabilities
) -> None:
    async with start() as counter:
        child = int(await counter.ask("fork"))
        sleeper = ProcessSleeper(counter.pid, no_swap)
        await sleeper.sleep(Tier.FROZEN)
        assert state(child) == "T"
        await sleeper.wake()
        assert state(child) in ("R", "S")


@pytest.mark.alone
async def test_a_service_that_forks_all_the_time_is_stopped_whole(
    start: StartCounter, no_swap: Capabilities
) -> None:
    async with start() as counter:
        assert await counter.ask("storm") == "storm"
        sleeper = ProcessSleeper(counter.pid, no_swap)
        for number in range(5):
            await sleeper.sleep(Tier.FROZEN)
            assert counter.states() <= {"T", "D"}
            before = {member.pid for member in members(counter.pid)}
            await anyio.sleep(0.05)
            assert {member.pid for member in members(counter.pid)} == before
            await sleeper.wake()
            assert await counter.ask("add") == str(number + 1)


async def test_an_orphan_that_left_everything_is_frozen_by_the_control_group(
    start: StartCounter, no_swap: Capabilities, group: Path
) -> None:
    async with start() as counter:
        (group / "cgroup.procs").write_text(str(counter.pid))
        orphan = int(await counter.ask("orphan"))
        assert orphan not in {member.pid for member in members(counter.pid)}
        sleeper = ProcessSleeper(counter.pid, no_swap, group=group)
        await sleeper.sleep(Tier.FROZEN)
        assert "frozen 1" in (group / "cgroup.events").read_text()
        before = procfs.stat(orphan)
        await anyio.sleep(0.1)
        after = procfs.stat(orphan)
        assert before is not None
        assert after is not None
        assert after.ticks == before.ticks
        await sleeper.wake()
        assert "frozen 0" in (group / "cgroup.events").read_text()
        assert state(orphan) in ("R", "S")
        assert await counter.ask("add") == "1"


async def test_what_the_freezer_holds_can_still_be_killed(
    start: StartCounter, no_swap: Capabilities, group: Path
) -> None:
    async with start() as counter:
        (group / "cgroup.procs").write_text(str(counter.pid))
        await ProcessSleeper(counter.pid, no_swap, group=group).sleep(Tier.FROZEN)
        os.killpg(counter.pid, signal.SIGKILL)
        with anyio.fail_after(5):
            assert await counter.process.wait() == -signal.SIGKILL


async def test_without_the_capability_the_memory_of_the_control_group_is_reclaimed(
    start: StartCounter, no_swap: Capabilities, tmp_path: Path
) -> None:
    """The two files of the memory controller of version 2, as far as they are used; see cgroup-v2.rst."""
    machine = replace(no_swap, swap=SwapKind.DISK, swap_free=2**30, nice=False)
    (tmp_path / "memory.current").write_text("5000000\n")
    (tmp_path / "memory.reclaim").write_text("")
    async with start() as counter:
        sleeper = ProcessSleeper(counter.pid, machine, group=tmp_path)
        assert sleeper.tiers == (Tier.FROZEN, Tier.PAGED_FULL)
        assert "setcap cap_sys_nice+ep" in sleeper.missing
        await sleeper.sleep(Tier.PAGED_FULL)
        assert counter.states() == {"T"}
        assert (tmp_path / "memory.reclaim").read_text() == str(BATCH)
        await sleeper.wake()
        assert await counter.ask("add") == "1"


async def test_a_service_killed_in_its_sleep_can_not_be_woken_and_says_so(
    start: StartCounter, no_swap: Capabilities
) -> None:
    async with start() as counter:
        sleeper = ProcessSleeper(counter.pid, no_swap)
        await sleeper.sleep(Tier.FROZEN)
        os.kill(counter.pid, signal.SIGKILL)
        await counter.process.wait()
        with pytest.raises(SleepFailed, match=f"Process {counter.pid} has ended"):
            await sleeper.wake()
        with pytest.raises(SleepFailed, match=f"Process {counter.pid} has ended"):
            await sleeper.sleep(Tier.FROZEN)
        assert (await sleeper.memory()).held == 0


@pytest.mark.alone
async def test_sleeping_twice_and_waking_twice_is_as_once(start: StartCounter, no_swap: Capabilities) -> None:
    async with start() as counter:
        sleeper = ProcessSleeper(counter.pid, no_swap)
        await sleeper.wake()
        for _ in range(2):
            await sleeper.sleep(Tier.FROZEN)
            assert counter.states() == {"T"}
        for _ in range(2):
            await sleeper.wake()
            assert counter.states() <= {"R", "S"}
        assert await counter.ask("add") == "1"


async def test_where_there_is_no_proc_the_process_group_is_frozen(
    start: StartCounter, no_swap: Capabilities, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start("sh", "-c", f"'{sys.executable}' '{COUNTER}'; exit 0") as counter:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(procfs, "PROC", tmp_path)
            sleeper = ProcessSleeper(counter.pid, no_swap)
            await sleeper.sleep(Tier.FROZEN)
            assert (await sleeper.memory()).held == 0
        stopping_s = anyio.current_time() + 5
        while counter.states() != {"T"} and anyio.current_time() < stopping_s:
            await checkpoint()
        assert counter.states() == {"T"}
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(procfs, "PROC", tmp_path)
            await sleeper.wake()
        assert await counter.ask("add") == "1"


async def test_a_number_that_was_given_to_another_process_is_not_signalled(start: StartCounter) -> None:
    async with start() as counter:
        child = int(await counter.ask("fork"))
        stopped = stopping.stop(counter.pid)
        try:
            found = next(process for process in stopped if process.pid == child)
            earlier = procfs.Stat(
                found.pid, "T", found.parent, found.group, found.session, found.ticks, found.started - 1
            )
            stopping.resume(counter.pid, (earlier,))
            assert state(child) == "T"
        finally:
            stopping.resume(counter.pid, stopped)
        assert state(child) in ("R", "S")
