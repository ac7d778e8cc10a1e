"""Services that take too much: memory, processor time, our patience with their stderr."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import pytest

from service_manager.config.services import parse_services
from service_manager.enforce.groups import bases
from service_manager.enforce.hierarchy import hierarchies
from service_manager.errors import ServiceCrashed
from service_manager.journal import LINES
from service_manager.linux import procfs
from service_manager.model import ServiceSpec, State
from service_manager.resources import Limits
from tests.integration.service_troubles.trouble import ARGV, ask, manager_of, pid_of, trouble, until

MB = 2**20

FLOOD_MB = 100
"""A gigabyte takes ten times as long, 20 s, and shows nothing more."""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="limits are enforced on Linux only"),
]


@pytest.fixture
def grouped() -> None:
    known = frozenset[str]().union(*(base.controllers for base in bases(hierarchies())))
    if not {"memory", "cpu"} <= known:
        pytest.skip("no control groups can be made here (not root, and nothing delegated)")


def written(tmp_path: Path, limits: str) -> ServiceSpec:
    """A service as services.yml has it."""
    text = f"services:\n  s:\n    command: {list(ARGV)}\n    limits: {limits}\n"
    (spec,) = parse_services(text, tmp_path / "services.yml", os.environ)
    return spec


@pytest.mark.usefixtures("grouped")
async def test_a_service_that_eats_memory_is_killed_or_held_and_the_failure_names_its_limit(
    tmp_path: Path,
) -> None:
    manager = manager_of(written(tmp_path, "{memory: 48MB}"))
    async with manager.open():
        pid = await pid_of(manager)
        await until(lambda: bool(manager.one("s").enforced))
        assert manager.one("s").limits.memory == 48 * MB
        told = ""
        try:
            await ask(manager, "eat", megabytes=120)
        except ServiceCrashed as crashed:
            told = str(crashed)
        if told:
            assert "killed: it reached its memory limit of 48 MB" in told
            await until(lambda: "memory limit of 48 MB" in manager.one("s").failure)
            assert await pid_of(manager) != pid
        else:
            # With swap the kernel holds it instead.
            assert procfs.sizes(procfs.read(pid, "status"))["RssAnon"] < 60 * MB


@pytest.mark.usefixtures("grouped")
async def test_a_service_that_eats_memory_takes_nothing_from_its_neighbour(tmp_path: Path) -> None:
    eater, neighbour = written(tmp_path, "{memory: 48MB}"), trouble(name="t")
    manager = manager_of(eater, neighbour)
    async with manager.open():
        before = await pid_of(manager, "t")
        for _ in range(2):
            await manager.ready("s")
            await until(lambda: bool(manager.one("s").enforced))
            try:
                await ask(manager, "eat", megabytes=120)
            except ServiceCrashed:
                continue
        assert await pid_of(manager, "t") == before


@pytest.mark.usefixtures("grouped")
async def test_a_service_that_burns_processor_time_is_held_to_its_share_and_still_answers(
    tmp_path: Path,
) -> None:
    manager = manager_of(written(tmp_path, "{cpu: 0.2}"))
    async with manager.open():
        await manager.ready("s")
        await until(lambda: bool(manager.one("s").enforced))
        await ask(manager, "burn")
        began, before = anyio.current_time(), (await manager.usage())["s"].cpu_s
        # Its share is counted in periods of 0.1 s; nothing but time can show it.
        await anyio.sleep(0.6)
        used = (await manager.usage())["s"].cpu_s - before
        assert used / (anyio.current_time() - began) < 0.45
        with anyio.fail_after(10):
            assert await ask(manager, "echo", text="x") == "x"


async def test_a_service_that_burns_processor_time_can_be_stopped_and_its_neighbours_answer() -> None:
    manager = manager_of(trouble(limits=Limits(cpu=1.0)), trouble(name="t"))
    async with manager.open():
        await ask(manager, "burn")
        with anyio.fail_after(10):
            assert await ask(manager, "echo", "t", text="x") == "x"
            await manager.stop("s")
        assert manager.one("s").state is State.STOPPED


@pytest.mark.parametrize("end", ["\n", "x"], ids=["lines", "one line"])
async def test_a_flood_on_stderr_costs_neither_our_memory_nor_the_service_its_speed(end: str) -> None:
    manager = manager_of(trouble(), trouble(name="t"))

    def ours() -> int:
        return procfs.sizes(procfs.read(os.getpid(), "status"))["RssAnon"]

    async with manager.open():
        await manager.ready("s")
        await manager.ready("t")
        before, began = ours(), anyio.current_time()
        answered = 0
        async with anyio.create_task_group() as tasks:

            async def neighbour() -> None:
                nonlocal answered
                while True:
                    assert await ask(manager, "echo", "t", text="x") == "x"
                    answered += 1

            tasks.start_soon(neighbour)
            await ask(manager, "flood", megabytes=FLOOD_MB, end=end)
            tasks.cancel_scope.cancel()
        took_s = anyio.current_time() - began
        assert ours() - before < 30 * MB
        assert took_s < 15, f"{FLOOD_MB / took_s:.0f} MB/s"
        assert answered > 10
        journal = manager.journal("s")
        await until(lambda: journal.tail(1) == (f"flooded {FLOOD_MB} MB",))
        assert len(journal.tail(10 * LINES)) == (LINES if end == "\n" else 1)


async def test_a_flood_on_stderr_before_the_session_does_not_keep_a_service_from_starting() -> None:
    manager = manager_of(trouble("flood=20"))
    async with manager.open():
        assert await ask(manager, "echo", text="x") == "x"
