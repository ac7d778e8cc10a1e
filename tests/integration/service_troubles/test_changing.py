"""services.yml changes while everything runs: only what changed starts again."""

from __future__ import annotations

import json
import signal
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from service_manager.daemon.client import DaemonClient, find_daemon
from service_manager.daemon.launch import MODULE
from service_manager.errors import ServiceCrashed, ServiceStartFailed, UnknownService
from service_manager.model import State, Tier
from tests.integration.daemon.home import LIMIT_S, Home
from tests.integration.daemon.wire_client import LEGACY, WireClient
from tests.integration.service_troubles.trouble import (
    ARGV,
    alive,
    ask,
    manager_of,
    pid_of,
    trouble,
    until,
)

pytestmark = pytest.mark.anyio


async def test_only_what_changed_starts_again_and_what_was_removed_ends() -> None:
    same, changed, gone = (trouble(name=name) for name in ("same", "changed", "gone"))
    manager = manager_of(same, changed, gone)
    async with manager.open():
        pids = {name: await pid_of(manager, name) for name in ("same", "changed", "gone")}
        changes = await manager.apply(
            [same, replace(changed, description="Another."), trouble(name="new")],
        )
        assert (changes.added, changes.changed, changes.removed) == (("new",), ("changed",), ("gone",))
        assert not alive(pids["gone"])
        assert not alive(pids["changed"])
        assert await pid_of(manager, "same") == pids["same"]
        assert await pid_of(manager, "changed") != pids["changed"]
        assert await ask(manager, "echo", "new", text="x") == "x"
        with pytest.raises(UnknownService):
            await manager.ready("gone")


@pytest.mark.parametrize("verb", ["changed", "removed"])
async def test_requests_under_way_on_what_changes_end_as_if_nothing_had_happened(verb: str) -> None:
    before = trouble()
    manager = manager_of(before)
    answers: list[str] = []
    async with manager.open():
        pid = await pid_of(manager)

        async def rest() -> None:
            answers.append(await ask(manager, "rest", seconds=0.3, text="rested"))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(rest)
                await until(lambda: manager.one("s").leases == 1)
                await manager.apply([replace(before, args=("noise",))] if verb == "changed" else [])
                assert answers == ["rested"]
        assert not alive(pid)


async def test_a_sleeping_service_that_did_not_change_sleeps_on() -> None:
    same = trouble(name="same", sleep=Tier.FROZEN)
    manager = manager_of(same, trouble(name="gone"))
    async with manager.open():
        pid = await pid_of(manager, "same")
        await manager.sleep("same")
        await manager.apply([same])
        assert manager.one("same").state is State.SLEEPING
        assert await pid_of(manager, "same") == pid


async def test_a_service_that_failed_is_forgiven_when_its_entry_is_mended() -> None:
    manager = manager_of(trouble("die"))
    async with manager.open():
        for _ in range(4):
            with pytest.raises(ServiceStartFailed):
                await manager.ready("s")
        await manager.apply([trouble()])
        assert await ask(manager, "echo", text="x") == "x"


async def test_a_service_that_is_removed_while_it_starts_ends_with_its_callers_told() -> None:
    manager = manager_of(trouble("silent", start_timeout_s=60))
    async with manager.open(), anyio.create_task_group() as tasks:

        async def call() -> None:
            with pytest.raises((ServiceStartFailed, ServiceCrashed)):
                await manager.ready("s")

        tasks.start_soon(call)
        await until(lambda: manager.one("s").pid is not None)
        pid = manager.one("s").pid or 0
        with anyio.fail_after(10):
            await manager.stop("s")
            await manager.apply([])
        assert not alive(pid)


@pytest.fixture
def home(tmp_path: Path) -> Generator[Home]:
    home = Home(tmp_path, module=MODULE)
    yield home
    home.end()


def write(home: Home, **services: Sequence[str]) -> None:
    entries = {name: {"command": list(ARGV), "args": list(args)} for name, args in services.items()}
    home.file.write_text(json.dumps({"services": entries}))


async def test_a_daemon_takes_changes_over_by_signal_and_by_a_look_at_the_file_and_wrong_ones_never(
    home: Home,
) -> None:
    write(home, same=(), changed=())
    process = home.serve()
    address = await find_daemon(home.file, home.environ)
    assert address is not None
    async with DaemonClient(address) as daemon, address.http() as http, anyio.create_task_group() as tasks:

        async def pid(name: str) -> int:
            client = WireClient(http, f"/services/{name}/mcp", LEGACY)
            await client.connect()
            return int(await client.text("pid"))

        async def names() -> list[str]:
            return [row["name"] for row in await daemon.services()]

        same, changed = await pid("same"), await pid("changed")
        client = WireClient(http, "/services/changed/mcp", LEGACY)
        await client.connect()
        answers: list[str] = []

        async def rest() -> None:
            answers.append(await client.text("rest", seconds=0.5, text="rested"))

        tasks.start_soon(rest)
        with anyio.fail_after(LIMIT_S):
            while (await daemon.service("changed"))["leases"] == 0:
                pass
        home.file.write_text("services:\n  same:\n    comand: x\n")
        process.send_signal(signal.SIGHUP)
        assert await names() == ["same", "changed"]
        assert await pid("same") == same

        write(home, same=(), changed=("noise",), new=())
        process.send_signal(signal.SIGHUP)
        with anyio.fail_after(LIMIT_S):
            while await names() != ["same", "changed", "new"]:
                pass
        assert await pid("same") == same
        # A call of the changed one waits until the request under way at the old one is answered.
        assert await pid("changed") != changed
        assert answers == ["rested"]
        assert not alive(changed)

        # Without a signal: the file is looked at every two seconds.
        write(home, same=())
        with anyio.fail_after(LIMIT_S):
            while await names() != ["same"]:
                pass
        assert await pid("same") == same


async def test_a_call_during_a_change_is_answered_by_the_one_before_or_the_one_after() -> None:
    before = trouble()
    manager = manager_of(before)
    async with manager.open():
        first = await pid_of(manager)
        pids: list[int] = []

        async def call() -> None:
            while pids[-1:] in ([], [first]):
                pids.append(await pid_of(manager))

        with anyio.fail_after(2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await until(lambda: bool(pids))
                await manager.apply([replace(before, args=("noise",))])
        assert set(pids[:-1]) == {first}
