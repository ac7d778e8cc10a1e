"""Things that happen to a service at the same moment. Time is trio's, and jumps."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
import trio.testing

from service_manager.errors import ServiceStartFailed
from service_manager.manager import ServiceManager
from service_manager.model import CommandSource, ServiceSpec, State
from tests.unit.services.callers import Caller
from tests.unit.services.host import Host, Start

pytestmark = pytest.mark.anyio

IDLE_S = 4.0


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def manager_of(host: Host) -> ServiceManager:
    spec = ServiceSpec("s", CommandSource(("s",)), idle_timeout_s=IDLE_S, min_sleep_time_s=0.0)
    return ServiceManager([spec], host, {}, driver=host, clock=trio.current_time, governed=False)


@pytest.mark.parametrize("number", range(10))
async def test_who_comes_as_it_is_stopped_for_being_idle_gets_one_that_lives(number: int) -> None:
    """Who of the two is first is up to the loop; a stop that has begun counts for every later caller."""
    host = Host(0.0, lambda process: None)
    manager = manager_of(host)
    async with manager.open(), anyio.create_task_group() as tasks:
        for _ in range(20):
            await manager.ready("s")
            caller = Caller("s", IDLE_S)
            tasks.start_soon(caller.live, manager)
            await anyio.sleep(IDLE_S + 1.0)
            await caller.use()
            assert caller.answers == ["ok"]
            caller.let_go()
            await trio.testing.wait_all_tasks_blocked()
            assert manager.status()[0].leases == 0


async def test_stopping_ends_an_installation_under_way_and_the_next_caller_begins_anew() -> None:
    host = Host(0.0, lambda process: None)
    host.installing["s"] = anyio.Event()
    manager = manager_of(host)
    async with manager.open(), anyio.create_task_group() as tasks:
        caller = Caller("s", 0.0)
        tasks.start_soon(caller.live, manager)
        await trio.testing.wait_all_tasks_blocked()
        await manager.stop("s")
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(caller.error, ServiceStartFailed)
        assert "was stopped while it started" in str(caller.error)
        assert caller.heard == ["installing s"]
        assert manager.status()[0].state is State.STOPPED
        del host.installing["s"]
        await manager.ready("s")
        assert manager.status()[0].state is State.RUNNING


async def test_who_waits_when_everything_is_closed_is_told_so() -> None:
    host = Host(1.0, lambda process: None)
    host.plan["s"] = Start.WORKS
    manager = manager_of(host)
    end, late = anyio.Event(), Caller("s", 0.0)

    async def hold_open() -> None:
        async with manager.open():
            await manager.ready("s")
            await end.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold_open)
        await trio.testing.wait_all_tasks_blocked()
        tasks.start_soon(manager.stop, "s")
        await trio.testing.wait_all_tasks_blocked()
        tasks.start_soon(late.live, manager)
        await trio.testing.wait_all_tasks_blocked()
        end.set()
    assert "shutting down" in str(late.error)


async def test_a_service_that_hangs_up_but_lives_is_replaced_by_the_next_call() -> None:
    host = Host(0.0, lambda process: None)
    manager = manager_of(host)
    async with manager.open(), anyio.create_task_group() as tasks:
        first, second = Caller("s", 0.0), Caller("s", 2.0)
        tasks.start_soon(first.live, manager)
        await trio.testing.wait_all_tasks_blocked()
        host.live["s"].hang_up()
        await first.use()
        assert first.answers == ["ServiceCrashed"]
        tasks.start_soon(second.live, manager)
        await anyio.sleep(3.0)
        await second.use()
        assert second.answers == ["ok"]
        first.let_go()
        second.let_go()
