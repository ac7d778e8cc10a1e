"""Managers that are killed at any moment: nothing of their services is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from service_manager.enforce.groups import PREFIX, bases
from service_manager.enforce.hierarchy import hierarchies
from tests.integration.service_troubles.trouble import (
    ROOT,
    alive,
    children_with,
    frozen,
    kill,
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


def groups_of(pid: int) -> list[Path]:
    return [path for base in bases(hierarchies()) for path in base.directory.glob(f"{PREFIX}*-{pid}-*")]


async def test_no_service_outlives_a_manager_that_is_killed_whatever_the_service_does_just_then(
    tmp_path: Path,
) -> None:
    marker = f"starts={tmp_path}/starts"
    with managing(["running", "frozen", "falling", "starting"], "deaf", marker) as manager:
        services = await said_by(manager)
        assert children_with(marker) == set(services.values())
        assert frozen(services["frozen"])
        manager.kill()
        await until(lambda: not children_with(marker))
        manager.wait()
    if bases(hierarchies()):
        # Its groups are removed by the next one that holds a service to limits.
        assert groups_of(manager.pid)
        another = manager_of(trouble())
        async with another.open():
            await another.ready("s")
            await until(lambda: not groups_of(manager.pid))


async def test_a_daemon_that_a_service_has_left_ends_after_its_manager_was_killed(tmp_path: Path) -> None:
    file = tmp_path / "daemon"
    with managing(["running"], f"daemon={file}") as manager:
        await said_by(manager)
        daemon = int(file.read_text())
        try:
            assert alive(daemon)
            manager.kill()
            await until(lambda: not alive(daemon))
        finally:
            kill(daemon)


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
