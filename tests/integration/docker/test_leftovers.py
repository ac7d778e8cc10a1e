"""Managers that are killed leave no containers: the watchdog removes them, or else the next start does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from service_manager.drivers.docker_owner import OWNER_LABEL
from service_manager.linux import procfs
from tests.integration.docker.running import Containers

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]


@contextmanager
def manager(host: str, *options: str) -> Generator[subprocess.Popen[str]]:
    """A manager whose container runs."""
    argv = [sys.executable, "-m", "tests.integration.docker.manager", host, *options]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            # Before it come lines of the log.
            assert any(line == "running\n" for line in process.stdout)
            yield process
        finally:
            process.kill()


def children(pid: int) -> list[int]:
    return [process.pid for process in procfs.stats() if process.parent == pid]


async def none_left(containers: Containers) -> None:
    with anyio.fail_after(20):
        while containers.names():  # noqa: ASYNC110  # another process sets no event of ours
            await anyio.sleep(0.05)


@pytest.mark.parametrize("options", [(), ("--asleep",)])
async def test_the_containers_of_a_killed_manager_are_removed_asleep_or_awake(
    containers: Containers, options: tuple[str, ...]
) -> None:
    with manager(containers.host, *options) as process:
        assert len(containers.names()) == 1
        process.kill()
        await none_left(containers)


async def test_what_a_killed_manager_and_its_killed_watchdog_leave_is_removed_by_the_next_start(
    containers: Containers,
) -> None:
    with manager(containers.host, "--asleep") as process:
        for watchdog in children(process.pid):
            os.kill(watchdog, signal.SIGKILL)
        process.kill()
        process.wait()
    (left,) = containers.names()

    async with containers.run():
        (now,) = containers.names()
        assert now != left


async def test_the_containers_of_a_manager_that_lives_are_left_alone(containers: Containers) -> None:
    with manager(containers.host):
        (other,) = containers.names()
        async with containers.run():
            assert other in containers.names()
            assert len(containers.names()) == 2
        assert containers.names() == [other]
    await none_left(containers)


async def test_a_container_of_our_own_that_could_not_be_removed_makes_room_for_the_next(
    containers: Containers,
) -> None:
    async with containers.run():
        (name,) = containers.names()
        labels = containers.ask("inspect_container", name)["Config"]["Labels"]
    assert labels[OWNER_LABEL]
    containers.ask("create_container", "small:1", name=name, labels=labels)

    async with containers.run() as running:
        assert containers.names() == [name]
        assert running.ending() == ""
