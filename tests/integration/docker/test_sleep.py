"""Containers that sleep: paused, paged out, woken with all they held, and never left asleep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from subprocess import run

import anyio
import pytest
from mcp import Client

from service_manager.drivers.docker_container import ContainerService
from service_manager.errors import SleepFailed
from service_manager.linux import procfs
from service_manager.linux.capabilities import SwapKind, probe
from service_manager.model import Tier
from service_manager.policy.tiers import quantile
from tests.integration.docker.running import Containers, use

pytestmark = pytest.mark.anyio

SWAPFILE = Path(__file__).parents[3] / "scripts" / "swapfile"

MB = 2**20

CYCLES = 30

TARGET_S = 0.2
"""What a wake of a container may take, from the wake to the first answer."""


@pytest.fixture(scope="module")
def swap(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Swap to page out to; a file is made for it where there is none."""
    file = tmp_path_factory.mktemp("swap") / "file"
    made = False
    if probe().swap is SwapKind.NONE:
        made = not run([SWAPFILE, "make", file, "256M"], check=False, capture_output=True).returncode
        if not made:
            pytest.skip("no swap file can be made here")
    try:
        yield
    finally:
        if made:
            run([SWAPFILE, "remove", file], check=True)


async def answer_after_wake(running: ContainerService, client: Client) -> float:
    """Seconds from the wake to an answer."""
    began = anyio.current_time()
    with anyio.fail_after(10):
        await running.sleeper.wake()
        assert await use(client, "echo", "here") == "here"
    return anyio.current_time() - began


def ticks(pid: int | None) -> int:
    assert pid is not None
    found = procfs.stat(pid)
    assert found is not None
    return found.ticks


@pytest.mark.alone
async def test_a_paused_container_does_nothing_and_wakes_as_it_was(containers: Containers) -> None:
    wakes: list[float] = []
    async with containers.talk() as (running, client):
        await use(client, "note", "first")
        for _ in range(CYCLES):
            await running.sleeper.sleep(Tier.FROZEN)
            assert containers.ask("inspect_container", containers.names()[0])["State"]["Paused"]
            before = ticks(running.pid)
            await running.usage()
            assert ticks(running.pid) == before
            wakes.append(await answer_after_wake(running, client))
        assert await use(client, "note", "last") == "first last"
    assert quantile(wakes, 0.95) < TARGET_S


@pytest.mark.usefixtures("swap")
@pytest.mark.parametrize("tier", [Tier.PAGED_HOT, Tier.PAGED_FULL])
async def test_a_container_that_is_paged_out_gives_its_memory_back_and_loses_nothing(
    containers: Containers, tier: Tier
) -> None:
    async with containers.talk() as (running, client):
        if tier not in running.sleeper.tiers:
            pytest.skip(running.sleeper.missing)
        await use(client, "note", "first")
        await use(client, "eat", 40)
        awake = await running.sleeper.memory()
        for _ in range(2):
            await running.sleeper.sleep(tier)
            asleep = await running.sleeper.memory()
            assert asleep.pss < 0.4 * awake.pss
            assert asleep.swap > 30 * MB
            await answer_after_wake(running, client)
        assert await use(client, "touch") == "40"
        assert await use(client, "note", "last") == "first last"


async def test_without_swap_a_container_is_only_paused_and_it_is_said_what_is_missing(
    containers: Containers,
) -> None:
    async with containers.run(swap=False) as running:
        assert running.sleeper.tiers == (Tier.FROZEN,)
        assert "There is no swap" in running.sleeper.missing
        with pytest.raises(SleepFailed, match="There is no swap"):
            await running.sleeper.sleep(Tier.PAGED_FULL)


async def test_a_container_sleeps_deeper_when_told_to_while_it_sleeps(
    containers: Containers, swap: None
) -> None:
    async with containers.talk() as (running, client):
        await use(client, "eat", 20)
        await running.sleeper.sleep(Tier.FROZEN)
        await running.sleeper.sleep(Tier.PAGED_FULL)
        assert (await running.sleeper.memory()).swap > 15 * MB
        await answer_after_wake(running, client)


@pytest.mark.usefixtures("swap")
async def test_a_container_that_sleeps_is_ended_as_fast_as_one_that_is_awake(containers: Containers) -> None:
    async with containers.talk(stop_timeout_s=30.0) as (running, _):
        await running.sleeper.sleep(running.sleeper.tiers[-1])
        before = anyio.current_time()
    assert anyio.current_time() - before < 5


async def test_a_sleep_that_is_cancelled_leaves_the_container_awake(containers: Containers) -> None:
    async with containers.talk() as (running, client):
        await use(client, "eat", 20)
        for patience_s in (0.0, 0.01, 0.03, 0.1):
            with anyio.move_on_after(patience_s) as scope:
                await running.sleeper.sleep(running.sleeper.tiers[-1])
            if not scope.cancelled_caught:
                await running.sleeper.wake()
            with anyio.fail_after(5):
                assert await use(client, "echo", "awake") == "awake"
        # Waking what is awake changes nothing.
        await answer_after_wake(running, client)


async def test_a_container_that_has_ended_can_not_be_put_to_sleep(containers: Containers) -> None:
    async with containers.run() as running:
        containers.ask("kill", containers.names()[0])
        await running.wait()
        with pytest.raises(SleepFailed):
            await running.sleeper.sleep(Tier.FROZEN)
        assert running.ending() == "killed, exit code 137"


async def test_a_container_that_dies_asleep_can_not_be_woken(containers: Containers) -> None:
    async with containers.run() as running:
        await running.sleeper.sleep(Tier.FROZEN)
        containers.ask("remove_container", containers.names()[0], force=True)
        await running.wait()
        with pytest.raises(SleepFailed):
            await running.sleeper.wake()
