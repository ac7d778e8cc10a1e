"""What the registries offer, asked of the real npm and pip."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from service_manager.install import outdated as module
from service_manager.install.outdated import Outdated, outdated
from service_manager.install.process import ask
from service_manager.model import CommandSource, PackageSource, ServiceSpec
from tests.integration.install.conftest import NPM, PYPI, Machine, Messages, stub
from tests.integration.install.registry import NPM_NAME, PYPI_NAME, npm_archive, pypi_wheel

pytestmark = pytest.mark.anyio


@pytest.mark.slow
async def test_each_package_is_compared_with_the_newest_that_is_offered(machine: Machine) -> None:
    machine.registry.more_npm[NPM_NAME, "1.10.0"] = npm_archive(version="1.10.0")
    for version in ("1.2.0", "2.0.0rc1"):
        machine.registry.more_pypi[PYPI_NAME, version] = pypi_wheel(version=version)
    specs = [
        ServiceSpec("npm-old", NPM.source),
        ServiceSpec("npm-new", PackageSource("npm", NPM_NAME, "1.10.0")),
        ServiceSpec("no-package", CommandSource(("x",))),
        ServiceSpec("pypi-old", PYPI.source),
        ServiceSpec("pypi-ahead", PackageSource("pypi", f"{PYPI_NAME}[x]", "2.0.0rc1")),
        ServiceSpec("npm-gone", PackageSource("npm", "@demo/gone", "1.0.0")),
        ServiceSpec("pypi-gone", PackageSource("pypi", "gone", "1.0")),
    ]
    progress = Messages()

    *found, npm_gone, pypi_gone = await outdated(specs, machine.environ, progress)

    assert found == [
        Outdated("npm-old", "1.0.0", "1.10.0", newer=True),
        Outdated("npm-new", "1.10.0", "1.10.0"),
        Outdated("pypi-old", "1.0.0", "1.2.0", newer=True),
        Outdated("pypi-ahead", "2.0.0rc1", "1.2.0"),
    ]
    for row, program in ((npm_gone, "npm"), (pypi_gone, "pip")):
        assert (row.latest, row.newer) == ("", False)
        assert row.error.startswith(f"{program} ended with code 1: ")
    # Each package once, though four services are of two packages.
    assert [(number, total) for number, total, _ in progress.steps] == [
        (float(count), 4.0) for count in range(1, 5)
    ]


async def test_a_registry_that_does_not_answer_is_told_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(tmp_path / "programs", "npm", "exec sleep 600")
    monkeypatch.setattr(module, "ANSWER_S", 0.2)

    with anyio.fail_after(10):
        (row,) = await outdated([NPM], {"PATH": f"{tmp_path / 'programs'}:{os.defpath}"}, Messages())

    assert row.error == "No answer within 0.2 s."


async def test_without_npm_that_is_the_answer(tmp_path: Path) -> None:
    (row,) = await outdated([NPM], {"PATH": str(tmp_path)}, Messages())

    assert row == Outdated("demo", "1.0.0", error="npm is not on PATH.")


async def test_no_more_than_some_are_asked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = most = 0
    monkeypatch.setattr(module, "AT_ONCE", 2)

    async def counting(argv: Sequence[str], **options: object) -> object:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        said = await ask([sys.executable, "-c", "print('\"2.0.0\"')"], environ=os.environ, timeout_s=20)
        inside -= 1
        return said

    monkeypatch.setattr(module, "ask", counting)
    stub(tmp_path / "programs", "npm", "")
    specs = [ServiceSpec(f"s{number}", PackageSource("npm", f"p{number}", "1.0.0")) for number in range(5)]

    rows = await outdated(specs, {"PATH": str(tmp_path / "programs")}, Messages())

    assert [row.newer for row in rows] == [True] * 5
    assert most == 2


@pytest.mark.skipif(sys.platform != "linux", reason="watches a process that is no child, as Linux can")
async def test_what_is_asked_is_killed_with_all_it_started_when_nobody_waits(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    os.mkfifo(told)
    script = stub(tmp_path / "programs", "npm", f"sleep 600 & echo $! > {told}; wait")
    watched: list[int] = []
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: ask([str(script)], environ=os.environ, timeout_s=600))
            watched.append(os.pidfd_open(int(await anyio.Path(told).read_text())))
            tasks.cancel_scope.cancel()
        await anyio.wait_readable(*watched)
    os.close(*watched)
