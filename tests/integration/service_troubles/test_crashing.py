"""Services that die: what their callers are told, and who starts them again."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import pytest

from service_manager.errors import ServiceCrashed, ServiceStartFailed, SleepFailed
from service_manager.manager import ServiceManager
from service_manager.model import Priority, State, Tier
from tests.integration.service_troubles.trouble import (
    Clock,
    alive,
    ask,
    ignore,
    kill,
    manager_of,
    pid_of,
    trouble,
    until,
)

pytestmark = pytest.mark.anyio


async def test_every_request_in_flight_is_told_of_a_crash_and_those_that_follow_join_one_restart() -> None:
    manager = manager_of(trouble())
    told: list[str] = []
    async with manager.open():
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                with pytest.raises(ServiceCrashed) as crashed:
                    await ask(manager, "wait")
                told.append(str(crashed.value))
                assert await ask(manager, "echo", text="again") == "again"

            for _ in range(10):
                tasks.start_soon(wait)
            await until(lambda: manager.one("s").leases == 10)
            with pytest.raises(ServiceCrashed, match="exit code 3"):
                await ask(manager, "crash")
        assert len(told) == 10
        assert all("exit code 3" in text and "the disk is on fire" in text for text in told)
        assert (manager.one("s").starts, manager.one("s").crashes) == (2, 1)


async def test_a_service_killed_from_outside_while_idle_is_started_again_by_the_next_call() -> None:
    manager = manager_of(trouble())
    async with manager.open():
        os.kill(await pid_of(manager), signal.SIGKILL)
        await until(lambda: manager.one("s").state is State.STOPPED)
        assert manager.one("s").pid is None
        assert "SIGKILL" in manager.one("s").failure
        assert await ask(manager, "echo", text="again") == "again"
        assert manager.one("s").failure == ""


async def test_a_critical_service_is_started_again_by_itself_and_after_three_crashes_with_a_pause() -> None:
    clock = Clock()
    manager = manager_of(trouble(priority=Priority.CRITICAL), clock=clock)
    async with manager.open():
        await manager.ready("s")
        for crash in (1, 2):
            kill(manager.one("s").pid or 0)
            # At once, and without anybody asking for it.
            await until(lambda crash=crash: manager.one("s").starts == crash + 1)
        kill(manager.one("s").pid or 0)
        await until(lambda: manager.one("s").state is State.FAILED)
        with pytest.raises(ServiceStartFailed, match="again in 15 s"):
            await manager.ready("s")
        clock.now += 15
        await manager.ready("s")
        assert (manager.one("s").starts, manager.one("s").crashes) == (4, 3)


async def test_a_critical_service_that_was_told_to_stop_stays_stopped() -> None:
    manager = manager_of(trouble(priority=Priority.CRITICAL))
    async with manager.open():
        await manager.ready("s")
        await manager.stop("s")
        await anyio.wait_all_tasks_blocked()
        assert (manager.one("s").state, manager.one("s").starts) == (State.STOPPED, 1)


async def test_requests_in_flight_when_a_person_stops_a_service_are_told_and_it_counts_as_no_crash() -> None:
    manager = manager_of(trouble())
    async with manager.open():

        async def wait() -> None:
            with pytest.raises(ServiceCrashed):
                await ask(manager, "wait")

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(wait)
                await until(lambda: manager.one("s").leases == 3 and manager.one("s").starts == 1)
                await anyio.wait_all_tasks_blocked()
                await manager.stop("s")
        assert (manager.one("s").crashes, manager.one("s").failure) == (0, "")


async def test_a_subscription_outlives_a_crash_and_has_the_service_started_again(tmp_path: Path) -> None:
    manager = manager_of(trouble())
    async with manager.open():
        await manager.subscribe("s", "note://1")
        kill(await pid_of(manager))
        await until(lambda: manager.one("s").starts == 2)
        await manager.unsubscribe("s", "note://1")


async def test_a_service_that_crashes_over_and_over_is_not_started_for_ever(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    manager = manager_of(trouble(f"starts={starts}", priority=Priority.CRITICAL))
    async with manager.open():
        for _ in range(6):
            with pytest.raises((ServiceCrashed, ServiceStartFailed)):
                await ask(manager, "crash")
        assert manager.one("s").state is State.FAILED
        assert "the disk is on fire" in manager.one("s").failure
        assert len(starts.read_text().splitlines()) == 3


async def test_listeners_hear_of_tools_that_changed_over_a_restart_and_what_is_known_follows(
    tmp_path: Path,
) -> None:
    tools = tmp_path / "tools"
    tools.write_text("old\n")
    manager = manager_of(trouble(f"tools={tools}"))

    def names() -> list[str]:
        listing = manager.known("s").listings.get("tools/list", {"tools": []})
        return [tool["name"] for tool in listing["tools"]]

    async with manager.open():
        await manager.ready("s")
        await until(lambda: "old" in names())
        with manager.listen("s") as heard, anyio.fail_after(10):
            tools.write_text("new\n")
            with pytest.raises(ServiceCrashed):
                await ask(manager, "crash")
            await manager.ready("s")
            assert (await heard.receive()).method == "notifications/tools/list_changed"
            # Who hears of it finds it already known.
            assert "new" in names()
            assert "old" not in names()


@pytest.mark.parametrize("tier", [Tier.FROZEN, None], ids=["asleep", "calibrated"])
async def test_a_service_that_dies_while_it_falls_asleep_is_started_again_by_the_next_call(
    tier: Tier | None,
) -> None:
    manager = manager_of(trouble(sleep=tier, stateless=False))
    async with manager.open():
        for pause_s in (0.0, 0.001, 0.003, 0.01):
            pid = await pid_of(manager)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_sleep_or_fail, manager)
                await until(lambda: manager.one("s").state is not State.RUNNING)
                await anyio.sleep(pause_s)
                os.kill(pid, signal.SIGKILL)
            await until(partial(_gone, pid))
            async with manager.lease("s") as session:
                await session.call_tool("echo", {}, ignore)
            # Early deaths in a row would make it FAILED; a person forgives them.
            await manager.stop("s")


def _gone(pid: int) -> bool:
    return not alive(pid)


async def _sleep_or_fail(manager: ServiceManager) -> None:
    with suppress(SleepFailed):
        await manager.sleep("s")
