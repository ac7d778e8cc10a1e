"""Managers that are killed at any moment: nothing of their services is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from service_manager.drivers.guardian import Guardian
from service_manager.enforce.groups import PREFIX, bases
from service_manager.enforce.hierarchy import hierarchies
from service_manager.linux import procfs
from tests.integration.service_troubles.trouble import (
    ROOT,
    alive,
    children_with,
    frozen,
    manager_of,
    trouble,
    until,
)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc"),
]


@contextmanager
def managing(names: list[str], *switches: str) -> Generator[subprocess.Popen[str]]:
    """A manager in a process of its own; see `managing`."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.service_troubles.managing", *names],
        env={**os.environ, "SWITCHES": json.dumps(switches)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def said_by(process: subprocess.Popen[str]) -> dict[str, int]:
    assert process.stdout is not None
    return json.loads(await to_thread.run_sync(process.stdout.readline))


def children_of(pid: int) -> set[int]:
    return {stat.pid for stat in procfs.stats() if stat.parent == pid}


def groups_of(pid: int) -> list[Path]:
    return [path for base in bases(hierarchies()) for path in base.directory.glob(f"{PREFIX}*-{pid}-*")]


async def test_no_service_outlives_a_manager_that_is_killed_whatever_the_service_does_just_then(
    tmp_path: Path,
) -> None:
    marker = f"starts={tmp_path}/starts"
    left_behind = f"daemon={tmp_path}/daemon"
    names = ["running", "frozen", "falling", "starting"]
    with managing(names, "deaf", marker, left_behind) as manager:
        services = await said_by(manager)
        # Each has left a daemon behind that is in no group and no session of ours.
        await until(lambda: len(children_with(marker)) == 2 * len(names))
        assert frozen(services["frozen"])
        grouped = bool(bases(hierarchies()))
        assert bool(groups_of(manager.pid)) == grouped
        manager.kill()
        await until(lambda: not children_with(marker))
        manager.wait()
    if grouped:
        # Its groups are removed by the next one that holds a service to limits.
        another = manager_of(trouble())
        async with another.open():
            await another.ready("s")
            await until(lambda: not groups_of(manager.pid))


async def test_a_watchdog_that_was_killed_is_replaced_by_one_that_knows_what_it_knew(tmp_path: Path) -> None:
    guardian = Guardian()
    argv = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)", str(tmp_path)]
    marked = {**os.environ, **guardian.guard_marked("s")}
    with (
        subprocess.Popen(argv, start_new_session=True) as grouped,
        subprocess.Popen(argv, start_new_session=True, env=marked) as ungrouped,
    ):
        try:
            guardian.guard(grouped.pid)
            (watchdog,) = children_with("drivers/watchdog.py") & children_of(os.getpid())
            os.kill(watchdog, signal.SIGKILL)
            await until(lambda: not alive(watchdog))
            guardian.guard_by(["true"])
            guardian.close()
            assert (grouped.wait(5), ungrouped.wait(5)) == (-signal.SIGTERM, -signal.SIGTERM)
        finally:
            grouped.kill()
            ungrouped.kill()


async def test_no_service_outlives_a_manager_that_is_killed_while_services_start_sleep_wake_and_stop(
    tmp_path: Path,
) -> None:
    marker = f"starts={tmp_path}/starts"
    for pause_s in (0.03, 0.2):
        with managing([f"changing-{number}" for number in range(5)], "deaf", marker) as manager:
            await said_by(manager)
            await anyio.sleep(pause_s)
            manager.kill()
            await until(lambda: not children_with(marker))
