"""Managed directories: whole or not at all, and made by one process at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from service_manager.install.directory import exclusive, leftovers, remove, replacing

pytestmark = pytest.mark.anyio

HOLDER = """\
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


async def ignore(waited_s: float) -> None:
    """Nobody waits for long here."""


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_a_directory_appears_whole_at_its_place(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "package"
    async with replacing(target) as scratch:
        (scratch / "file").write_text("new")
        assert not target.is_dir()

    assert (target / "file").read_text() == "new"
    assert names(target.parent) == ["package"]


async def test_a_directory_replaces_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "package"
    for content in ("old", "new"):
        async with replacing(target) as scratch:
            (scratch / content).write_text(content)

    assert names(target) == ["new"]
    assert names(tmp_path) == ["package"]


async def test_a_failure_keeps_the_old_directory_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "package"
    async with replacing(target) as scratch:
        (scratch / "old").touch()

    async def fail_halfway() -> None:
        async with replacing(target) as scratch:
            (scratch / "new").touch()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await fail_halfway()

    assert names(target) == ["old"]
    assert names(tmp_path) == ["package"]


async def test_a_cancellation_leaves_nothing(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with replacing(tmp_path / "package") as scratch:
            (scratch / "half").touch()
            scope.cancel()
            await anyio.lowlevel.checkpoint()

    assert scope.cancelled_caught
    assert names(tmp_path) == []


async def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    others = ["package-2", ".new-package-2-aaaa", ".new-package2-aaaa", ".locks"]
    for name in (".new-package-aaaa", ".old-package-bbbb", *others):
        (tmp_path / name).mkdir()

    assert sorted(path.name for path in leftovers(tmp_path / "package")) == [
        ".new-package-aaaa",
        ".old-package-bbbb",
    ]
    async with replacing(tmp_path / "package"):
        pass

    assert names(tmp_path) == sorted([*others, "package"])


async def test_removing_says_whether_there_was_something(tmp_path: Path) -> None:
    (tmp_path / "package" / "deep").mkdir(parents=True)

    assert await remove(tmp_path / "package")
    assert not await remove(tmp_path / "package")
    assert names(tmp_path) == []


async def test_one_holds_a_lock_at_a_time(tmp_path: Path) -> None:
    inside = 0
    most = 0

    async def hold() -> None:
        nonlocal inside, most
        async with exclusive(tmp_path / "deep" / "lock", ignore):
            inside += 1
            most = max(most, inside)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            inside -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(hold)

    assert most == 1


async def test_a_lock_is_free_when_the_process_that_held_it_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = await anyio.open_process([sys.executable, "-c", HOLDER, str(lock)], stderr=None)
    assert holder.stdout is not None
    assert (await holder.stdout.receive()).startswith(b"held")
    waited: list[float] = []

    async def kill_it(waited_s: float) -> None:
        waited.append(waited_s)
        holder.kill()

    with anyio.fail_after(20):
        async with exclusive(lock, kill_it):
            assert waited
    await holder.aclose()


async def test_who_waits_for_a_lock_can_be_cancelled(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    async with exclusive(lock, ignore):
        with anyio.move_on_after(0.01) as scope:
            async with exclusive(lock, ignore):
                pytest.fail("the lock is held by another one")

    assert scope.cancelled_caught
    with anyio.fail_after(5):
        async with exclusive(lock, ignore):
            pass


async def test_a_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    async with exclusive(lock, ignore):
        child = await anyio.open_process(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdout=subprocess.DEVNULL
        )
    with anyio.fail_after(5):
        async with exclusive(lock, ignore):
            assert child.returncode is None
    child.kill()
    await child.aclose()
