"""Services that do not want to end, and what they leave behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import pytest

from service_manager.drivers.guardian import Guardian
from service_manager.drivers.process import ProcessDriver
from service_manager.enforce.groups import PREFIX, bases
from service_manager.enforce.hierarchy import hierarchies
from service_manager.manager import ServiceManager
from service_manager.model import State, Tier
from tests.integration.service_troubles.trouble import (
    AsWritten,
    alive,
    ask,
    frozen,
    kill,
    manager_of,
    pid_of,
    trouble,
    until,
)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc"),
]


@pytest.fixture
def grouped() -> None:
    if sys.platform != "linux" or not bases(hierarchies()):
        pytest.skip("no control groups can be made here (not root, and nothing delegated)")


def groups_of_ours() -> list[Path]:
    ours = f"{PREFIX}*-{os.getpid()}-*"
    return [path for base in bases(hierarchies()) for path in base.directory.glob(ours)]


async def test_a_service_that_ignores_sigterm_and_the_end_of_its_input_is_killed_after_its_time() -> None:
    manager = manager_of(trouble("deaf", stop_timeout_s=0.3))
    async with manager.open():
        pid = await pid_of(manager)
        began = anyio.current_time()
        await manager.stop("s")
        assert 0.3 <= anyio.current_time() - began < 3
        assert not alive(pid)


@pytest.mark.alone
@pytest.mark.parametrize("deaf", [(), ("deaf",)], ids=["it ends", "it ignores SIGTERM"])
async def test_a_frozen_service_ends_in_its_time_as_well(deaf: tuple[str, ...]) -> None:
    manager = manager_of(trouble(*deaf, sleep=Tier.FROZEN, stop_timeout_s=0.3))
    async with manager.open():
        pid = await pid_of(manager)
        await manager.sleep("s")
        assert frozen(pid)
        began = anyio.current_time()
        await manager.stop("s")
        took_s = anyio.current_time() - began
        assert took_s >= 0.3 if deaf else took_s < 0.3
        assert not alive(pid)
        assert manager.one("s").state is State.STOPPED


@pytest.mark.usefixtures("grouped")
@pytest.mark.parametrize("when", ["at its start", "later"])
async def test_a_daemon_that_left_group_session_and_parent_ends_with_its_service(
    tmp_path: Path, when: str
) -> None:
    file = tmp_path / "daemon"
    manager = manager_of(trouble(*((f"daemon={file}",) if when == "at its start" else ())))
    await a_daemon_ends_with_its_service(manager, file, when)


@pytest.mark.parametrize("when", ["at its start", "later"])
async def test_without_control_groups_it_does_as_well(tmp_path: Path, when: str) -> None:
    file, guardian = tmp_path / "daemon", Guardian()
    service = trouble(*((f"daemon={file}",) if when == "at its start" else ()))
    driver = ProcessDriver(os.environ, guardian)
    try:
        await a_daemon_ends_with_its_service(
            ServiceManager([service], AsWritten(), os.environ, driver=driver), file, when
        )
    finally:
        guardian.close()


async def a_daemon_ends_with_its_service(manager: ServiceManager, file: Path, when: str) -> None:
    async with manager.open():
        await manager.ready("s")
        if when == "later":
            await ask(manager, "leave", file=str(file))
        daemon = int(file.read_text())
        try:
            assert alive(daemon)
            assert os.getsid(daemon) != manager.one("s").pid
            await manager.stop("s")
            await until(lambda: not alive(daemon))
        finally:
            kill(daemon)


@pytest.mark.usefixtures("grouped")
async def test_a_daemon_sleeps_and_wakes_with_its_service(tmp_path: Path) -> None:
    file = tmp_path / "daemon"
    manager = manager_of(trouble(sleep=Tier.FROZEN))
    async with manager.open():
        await ask(manager, "leave", file=str(file))
        daemon = int(file.read_text())
        await manager.sleep("s")
        assert frozen(daemon)
        await manager.wake("s")
        assert not frozen(daemon)
    await until(lambda: not alive(daemon))


@pytest.mark.usefixtures("grouped")
async def test_no_control_group_is_left_of_services_that_ended_or_were_killed() -> None:
    manager = manager_of(trouble(), trouble(name="t"), trouble("deaf", name="u", stop_timeout_s=0.1))
    async with manager.open():
        for name in ("s", "t", "u"):
            await manager.ready(name)
        await until(lambda: bool(groups_of_ours()))
        kill(manager.one("s").pid or 0)
        await manager.stop("t")
    assert groups_of_ours() == []


async def test_many_services_that_ignore_sigterm_are_ended_at_once_and_not_one_after_the_other() -> None:
    names = tuple("abcdef")
    manager = manager_of(*(trouble("deaf", name=name, stop_timeout_s=0.5) for name in names))
    async with manager.open():
        pids = [await pid_of(manager, name) for name in names]
        began = anyio.current_time()
    assert anyio.current_time() - began < 2
    assert not [pid for pid in pids if alive(pid)]
