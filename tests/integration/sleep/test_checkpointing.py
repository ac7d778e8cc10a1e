"""Services that a manager writes to disk and brings back; what needs no CRIU is seen with a stand-in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from service_manager.drivers.checkpoint import unable
from service_manager.drivers.images import Images
from service_manager.errors import ServiceCrashed, SleepFailed
from service_manager.linux import procfs
from service_manager.linux.capabilities import SwapKind, probe
from service_manager.manager import ServiceManager
from service_manager.model import Command, CommandSource, Progress, ServiceSpec, State, Tier
from service_manager.resources import Limits, MemoryUse

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="CRIU is for Linux only"),
]

PROGRAM = Path(__file__).with_name("counting_service.py")

FAKE = """#!/bin/sh
case "$1" in
dump) shift; while [ "$1" != --tree ]; do shift; done; {dump};;
restore) touch "$0.tried"; echo "Error (criu/x.c:1): the moon is full" >&2; exit 1;;
esac
"""
"""A CRIU that can't bring back what it wrote."""


class AsWritten:
    """A resolver whose services are commands."""

    def know(self, specs: Sequence[ServiceSpec]) -> None:
        """It makes no difference here."""

    async def resolve(self, spec: ServiceSpec, progress: Progress) -> Command:
        assert isinstance(spec.source, CommandSource)
        return Command(spec.source.argv, spec.env)


def manager_of(home: Path, path: str = os.environ["PATH"], **changes: Any) -> ServiceManager:
    source = CommandSource((sys.executable, "-I", "-S", str(PROGRAM)))
    spec = ServiceSpec("s", source, sleep=Tier.CHECKPOINT, stop_timeout_s=2.0)
    environ = {**os.environ, "TOOL_ROUTER_HOME": str(home), "PATH": path}
    # Without swap whatever others make of it meanwhile: the next lighter tier is always the same.
    machine = replace(probe(), swap=SwapKind.NONE)
    return ServiceManager([replace(spec, **changes)], AsWritten(), environ, machine=machine)


async def call(manager: ServiceManager, tool: str = "count") -> str:
    async with manager.lease("s") as session:
        result = await session.request("tools/call", {"name": tool, "arguments": {}})
    return result["content"][0]["text"]


async def tried(manager: ServiceManager) -> None:
    """Have it sleep, which may fail or be undone at once."""
    with suppress(SleepFailed):
        await manager.sleep("s")


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not true():  # noqa: ASYNC110  # what is looked at belongs to other processes
            await anyio.sleep(0.005)


def alive(pid: int) -> bool:
    found = procfs.stat(pid)
    return found is not None and found.alive


def images(home: Path) -> list[Path]:
    return list((home / "state" / "checkpoints").glob("*"))


def pid_of(manager: ServiceManager) -> int:
    pid = manager.one("s").pid
    assert pid is not None
    return pid


@pytest.fixture
def criu() -> None:
    """CRIU, where it works."""
    if why := unable():
        pytest.skip(why)


@pytest.fixture
def standin(tmp_path: Path) -> str:
    """A PATH with the stand-in."""
    if os.geteuid() != 0:
        pytest.skip("CRIU needs root")
    return path_of(tmp_path, 'kill -9 -"$2"')


def path_of(directory: Path, dump: str) -> str:
    program = directory / "bin" / "criu"
    program.parent.mkdir()
    program.write_text(FAKE.format(dump=dump))
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


@pytest.mark.usefixtures("criu")
async def test_a_service_keeps_its_state_and_its_number_over_many_sleeps_on_disk(tmp_path: Path) -> None:
    manager = manager_of(tmp_path)
    async with manager.open():
        assert await call(manager) == "1"
        pid = pid_of(manager)
        for cycle in range(5):
            await manager.sleep("s")
            status = manager.one("s")
            assert (status.state, status.sleeping.tier, status.pid) == (State.SLEEPING, Tier.CHECKPOINT, pid)
            assert not alive(pid)
            assert await call(manager) == str(cycle + 2)
        status = manager.one("s")
        assert (status.starts, status.crashes, status.failure, status.pid) == (1, 0, "", pid)
        assert status.sleeping.wakes == 5
    assert not alive(pid)
    assert not images(tmp_path)


@pytest.mark.usefixtures("criu")
async def test_a_service_on_disk_uses_nothing_and_only_we_may_read_it(tmp_path: Path) -> None:
    manager = manager_of(tmp_path)
    async with manager.open():
        await call(manager)
        before = (await manager.usage())["s"]
        await manager.sleep("s")
        use = (await manager.usage())["s"]
        assert (use.memory, use.processes) == (MemoryUse(0), 0)
        assert manager.one("s").sleeping.asleep == MemoryUse(0)
        (image,) = images(tmp_path)
        assert image.stat().st_mode & 0o777 == 0o700
        await call(manager)
        after = (await manager.usage())["s"]
        assert (after.processes, before.processes) == (1, 1)
        assert after.memory.pss > 0


@pytest.mark.usefixtures("criu")
@pytest.mark.parametrize("cycles", [1, 2])
async def test_an_end_after_it_came_back_is_a_crash_and_it_starts_anew(tmp_path: Path, cycles: int) -> None:
    manager = manager_of(tmp_path)
    async with manager.open():
        for _ in range(cycles):
            await call(manager)
            await manager.sleep("s")
        await call(manager)
        os.kill(pid_of(manager), signal.SIGKILL)
        await until(lambda: manager.one("s").crashes == 1)
        assert manager.one("s").failure == "it died: signal SIGKILL"
        assert await call(manager) == "1"


@pytest.mark.usefixtures("criu")
async def test_what_it_says_before_it_dies_is_told_after_it_came_back_too(tmp_path: Path) -> None:
    manager = manager_of(tmp_path)
    async with manager.open():
        await call(manager)
        await manager.sleep("s")
        with pytest.raises(ServiceCrashed, match="exit code 3: the disk is on fire"):
            await call(manager, "die")


@pytest.mark.usefixtures("criu")
async def test_what_came_back_is_held_to_its_limits_still(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, limits=Limits(memory=2**28, processes=50, open_files=200))
    async with manager.open():
        await call(manager)
        await until(lambda: bool(manager.one("s").enforced))
        pid = pid_of(manager)
        held = (procfs.read(pid, "cgroup"), procfs.read(pid, "limits"))
        await manager.sleep("s")
        assert await call(manager) == "2"
        assert (procfs.read(pid, "cgroup"), procfs.read(pid, "limits")) == held


@pytest.mark.usefixtures("criu")
async def test_one_that_came_back_is_asked_to_end_and_ends(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, stop_timeout_s=30.0)
    async with manager.open():
        await call(manager)
        await manager.sleep("s")
        await call(manager)
        pid = pid_of(manager)
        with anyio.fail_after(10):
            await manager.stop("s")
        assert not alive(pid)
        assert manager.one("s").state is State.STOPPED
        assert not images(tmp_path)


@pytest.mark.usefixtures("criu")
async def test_one_with_a_process_outside_its_tree_is_frozen_instead(tmp_path: Path) -> None:
    manager = manager_of(tmp_path)
    async with manager.open():
        left = int(await call(manager, "leave"))
        await tried(manager)
        await call(manager)
        await manager.sleep("s")
        status = manager.one("s").sleeping
        assert status.tier is Tier.FROZEN
        assert f"process {left} has left the tree" in status.missing_capability
        assert await call(manager) == "2"
    assert not alive(left)


@pytest.mark.usefixtures("criu")
async def test_a_sleep_that_is_wanted_no_more_is_finished_and_undone(tmp_path: Path) -> None:
    manager = manager_of(tmp_path)
    async with manager.open():
        await call(manager)
        pid = pid_of(manager)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tried, manager)
            await until(lambda: bool(images(tmp_path)))
            assert await call(manager) == "2"
        assert (manager.one("s").crashes, pid_of(manager)) == (0, pid)


async def test_one_that_is_stopped_on_disk_leaves_nothing_and_its_number_alone(
    tmp_path: Path, standin: str
) -> None:
    manager = manager_of(tmp_path, standin)
    async with manager.open():
        await call(manager)
        await manager.sleep("s")
        assert images(tmp_path)
        await manager.stop("s")
        assert not (tmp_path / "bin" / "criu.tried").exists()
        assert not images(tmp_path)
        status = manager.one("s")
        assert (status.state, status.crashes, status.failure) == (State.STOPPED, 0, "")


async def test_one_that_does_not_come_back_starts_anew_and_is_not_written_again(
    tmp_path: Path, standin: str
) -> None:
    manager = manager_of(tmp_path, standin)
    async with manager.open():
        assert await call(manager) == "1"
        await manager.sleep("s")
        assert manager.one("s").sleeping.tier is Tier.CHECKPOINT
        assert await call(manager) == "1"
        assert manager.one("s").crashes == 1
        await manager.sleep("s")
        status = manager.one("s").sleeping
        assert status.tier is Tier.FROZEN
        assert "what it held in memory is lost" in status.missing_capability
        assert "the moon is full" in status.missing_capability
        assert await call(manager) == "2"
    assert not images(tmp_path)


async def test_one_that_can_not_be_written_runs_on_and_is_frozen_instead(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("CRIU needs root")
    path = path_of(tmp_path, 'echo "Error (criu/x.c:1): a socket" >&2; exit 1')
    manager = manager_of(tmp_path, path)
    async with manager.open():
        await call(manager)
        await tried(manager)
        assert await call(manager) == "2"
        await manager.sleep("s")
        status = manager.one("s").sleeping
        assert status.tier is Tier.FROZEN
        assert "could not be written to disk" in status.missing_capability
        assert "a socket" in status.missing_capability
        assert await call(manager) == "3"


async def test_without_criu_the_status_says_what_is_missing_and_it_is_frozen(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "criu"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'Error (criu/x.c:1): no such luck' >&2\nexit 1\n")
    program.chmod(0o755)
    manager = manager_of(tmp_path, f"{program.parent}:{os.environ['PATH']}")
    async with manager.open():
        await call(manager)
        await manager.sleep("s")
        status = manager.one("s").sleeping
        assert status.tier is Tier.FROZEN
        assert "no such luck" in status.missing_capability or "root" in status.missing_capability
        assert "services.yml says checkpoint" in status.reason
        assert await call(manager) == "2"


async def test_a_service_that_does_not_ask_for_it_is_never_written(tmp_path: Path, standin: str) -> None:
    manager = manager_of(tmp_path, standin, sleep=None)
    async with manager.open():
        await call(manager)
        await manager.sleep("s")
        assert manager.one("s").sleeping.tier is Tier.FROZEN
        assert await call(manager) == "2"


def test_what_a_killed_manager_left_is_removed_and_what_is_in_use_stays(tmp_path: Path) -> None:
    base = tmp_path / "checkpoints"
    stale = base / "0123456789abcdef" / "image"
    stale.mkdir(parents=True)
    (stale / "pages-1.img").write_bytes(b"secret")
    used, other = Images(base), Images(base)
    (used.empty() / "pages-1.img").write_bytes(b"mine")
    assert not stale.parent.exists()
    other.empty()
    assert (used.path / "image" / "pages-1.img").read_bytes() == b"mine"
    assert not list(used.empty().iterdir())
    used.remove()
    assert list(base.iterdir()) == [other.path]
    other.remove()


MANAGING = """
import sys, anyio, structlog
from pathlib import Path
from tests.integration.sleep.test_checkpointing import call, manager_of, pid_of
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def main(home, wakes):
    manager = manager_of(Path(home))
    async with manager.open():
        await call(manager)
        await manager.sleep("s")
        if wakes:
            await call(manager)
        print(pid_of(manager), flush=True)
        await anyio.sleep_forever()

anyio.run(main, sys.argv[1], len(sys.argv) > 2)
"""


@pytest.mark.usefixtures("criu")
@pytest.mark.parametrize("wakes", [[], ["wakes"]], ids=["on disk", "back again"])
async def test_nothing_is_left_of_a_service_whose_manager_is_killed(tmp_path: Path, wakes: list[str]) -> None:
    argv = [sys.executable, "-c", MANAGING, str(tmp_path), *wakes]
    with subprocess.Popen(
        argv, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as manager:
        assert manager.stdout is not None
        pid = int(await to_thread.run_sync(manager.stdout.readline))
        assert images(tmp_path)
        assert alive(pid) is bool(wakes)
        manager.kill()
        await until(lambda: not images(tmp_path) and not alive(pid))
