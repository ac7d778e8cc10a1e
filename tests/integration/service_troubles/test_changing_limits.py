"""resource-limits.yml changes while everything runs: what holds at once, and what starts again for it."""

from __future__ import annotations

import json
import signal
from collections.abc import Generator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from service_manager.daemon.client import DaemonClient, find_daemon
from service_manager.daemon.launch import MODULE
from service_manager.enforce.groups import PREFIX, bases
from service_manager.enforce.hierarchy import hierarchies, number
from service_manager.errors import LimitReached
from service_manager.model import Priority
from service_manager.policy.rules import Amount, ResourceRules
from tests.integration.daemon.home import LIMIT_S, Home
from tests.integration.daemon.wire_client import LEGACY, WireClient
from tests.integration.service_troubles.trouble import ARGV, manager_of, pid_of, trouble

pytestmark = pytest.mark.anyio

MB = 1024**2


def with_normal_memory(memory: int) -> ResourceRules:
    """The usual rules, but for what a service of normal priority may have."""
    rules = ResourceRules()
    normal = rules.priorities[Priority.NORMAL]
    changed = replace(normal, limits=replace(normal.limits, memory=memory))
    return replace(rules, priorities={**rules.priorities, Priority.NORMAL: changed})


async def test_only_a_service_whose_own_limits_are_others_starts_again() -> None:
    normal, high = trouble(name="normal"), trouble(name="high", priority=Priority.HIGH)
    manager = manager_of(normal, high)
    async with manager.open():
        pids = {name: await pid_of(manager, name) for name in ("normal", "high")}
        changes = await manager.apply([normal, high], with_normal_memory(200 * MB))
        assert (changes.changed, changes.limits) == (("normal",), True)
        assert await pid_of(manager, "high") == pids["high"]
        assert await pid_of(manager, "normal") != pids["normal"]
        assert manager.one("normal").limits.memory == 200 * MB
        assert manager.one("high").limits.memory == ResourceRules().limits(high).memory


async def test_how_many_may_be_awake_holds_at_once_and_nothing_starts_again() -> None:
    names = ("one", "two", "three")
    specs = [trouble(name=name) for name in names]
    manager = manager_of(*specs)
    rules = ResourceRules()
    fewer = replace(rules, system=replace(rules.system, max_concurrent=2, start_wait_s=0.1))
    async with manager.open(), AsyncExitStack() as used:
        pids = {name: await pid_of(manager, name) for name in names[:2]}
        for name in names[:2]:
            await used.enter_async_context(manager.lease(name))
        changes = await manager.apply(specs, fewer)
        assert (changes.changed, changes.limits) == ((), True)
        with pytest.raises(LimitReached):
            await manager.ready("three")
        assert {name: await pid_of(manager, name) for name in names[:2]} == pids
        await manager.apply(specs, rules)
        await manager.ready("three")


async def test_what_all_may_have_together_holds_at_once_for_those_that_run() -> None:
    spec = trouble()
    manager = manager_of(spec)
    async with manager.open():
        pid = await pid_of(manager)
        if not any(by.startswith("cgroup") for by in manager.one("s").enforced.values()):
            pytest.skip("there are no control groups to be had here")
        (group,) = (
            listing.parent
            for base in bases(hierarchies())
            if "memory" in base.controllers
            for listing in base.directory.glob(f"{PREFIX}*/*/cgroup.procs")
            if str(pid) in listing.read_text().split()
        )
        rules = ResourceRules()
        changed = replace(rules, system=replace(rules.system, memory=Amount(300 * MB)))
        await manager.apply([spec], changed)
        limits = [number(group.parent / name) for name in ("memory.max", "memory.limit_in_bytes")]
        assert 300 * MB in limits
        assert await pid_of(manager) == pid


@pytest.fixture
def home(tmp_path: Path) -> Generator[Home]:
    home = Home(tmp_path, module=MODULE)
    home.file.write_text(json.dumps({"services": {"s": {"command": list(ARGV)}}}))
    yield home
    home.end()


async def test_a_daemon_takes_limits_over_from_a_file_that_comes_later_and_wrong_ones_never(
    home: Home,
) -> None:
    process = home.serve()
    address = await find_daemon(home.file, home.environ)
    assert address is not None
    limits = Path(home.environ["TOOL_ROUTER_HOME"]) / "config" / "resource-limits.yml"
    limits.parent.mkdir(parents=True, exist_ok=True)
    async with DaemonClient(address) as daemon, address.http() as http:

        async def pid() -> int:
            client = WireClient(http, "/services/s/mcp", LEGACY)
            await client.connect()
            return int(await client.text("pid"))

        async def memory() -> int:
            return (await daemon.service("s"))["limits"]["memory"]

        first = await pid()
        limits.write_text("priorities:\n  normal:\n    limits: {memry: 200MB}\n")
        process.send_signal(signal.SIGHUP)
        assert await pid() == first

        # Without a signal: it is noticed that another file counts than the shipped one.
        limits.write_text("priorities:\n  normal:\n    limits: {memory: 200MB}\nmonitor: {interval: 1s}\n")
        with anyio.fail_after(LIMIT_S):
            while await memory() != 200 * MB:
                pass
        assert await pid() != first
        assert (await daemon.usage())["interval_s"] == 1
        assert (await daemon.reload())["limits"] is False
