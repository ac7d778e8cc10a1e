"""Many callers of one service at once, while it sleeps, wakes, stops and dies."""

from __future__ import annotations

import sys
from contextlib import suppress

import anyio
import pytest

from service_manager.errors import ServiceCrashed, ServiceStartFailed, SleepFailed
from service_manager.model import State, Tier, Transition
from tests.integration.service_troubles.trouble import (
    alive,
    ask,
    frozen,
    ignore,
    manager_of,
    pid_of,
    trouble,
    until,
)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere what keeps its state stays awake"),
]

TIERS = pytest.mark.parametrize("tier", [Tier.FROZEN, Tier.RESPAWN])


@TIERS
async def test_fifty_callers_of_a_sleeping_service_wake_it_once_and_each_get_their_own_answer(
    tier: Tier,
) -> None:
    moves: list[State] = []
    answers: dict[int, str] = {}

    def observe(change: Transition) -> None:
        moves.append(change.after)

    manager = manager_of(trouble(sleep=tier, stateless=True), observe=observe)

    async def call(number: int) -> None:
        answers[number] = await ask(manager, "echo", text=str(number))

    async with manager.open():
        await manager.ready("s")
        await manager.sleep("s")
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(call, number)
        assert answers == {number: str(number) for number in range(50)}
        assert moves.count(State.WAKING) == 1
        assert manager.one("s").leases == 0


@TIERS
async def test_a_caller_that_gives_up_during_a_wake_does_not_end_it_for_the_others(tier: Tier) -> None:
    scope, waking = anyio.CancelScope(), anyio.Event()

    def observe(change: Transition) -> None:
        if change.after is State.WAKING:
            waking.set()

    manager = manager_of(trouble(sleep=tier, stateless=True), observe=observe)

    async def give_up() -> None:
        with scope:
            await ask(manager, "wait")

    async with manager.open():
        await manager.ready("s")
        await manager.sleep("s")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(give_up)
            await waking.wait()
            scope.cancel()
            with anyio.fail_after(10):
                assert await ask(manager, "echo", text="kept") == "kept"
        assert manager.one("s").leases == 0


@TIERS
async def test_a_stop_during_a_wake_stops_it_and_the_next_call_starts_it_again(tier: Tier) -> None:
    waking = anyio.Event()

    def observe(change: Transition) -> None:
        if change.after is State.WAKING:
            waking.set()

    manager = manager_of(trouble(sleep=tier, stateless=True), observe=observe)

    async def call() -> None:
        # Answered just before, or told that it was stopped, or served by the next start.
        with suppress(ServiceStartFailed, ServiceCrashed):
            assert await ask(manager, "echo", text="x") == "x"

    async with manager.open():
        pid = await pid_of(manager)
        await manager.sleep("s")
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await waking.wait()
                await manager.stop("s")
                assert not alive(pid)
            assert await ask(manager, "echo", text="again") == "again"
        assert manager.one("s").crashes == 0


async def test_a_stop_while_it_falls_asleep_stops_it_at_once() -> None:
    manager = manager_of(trouble())
    async with manager.open():
        pid = await pid_of(manager)

        async def fall_asleep() -> None:
            with suppress(SleepFailed):
                await manager.sleep("s")

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fall_asleep)
                await until(lambda: manager.one("s").state is State.SLEEPING)
                await manager.stop("s")
        assert not alive(pid)
        assert manager.one("s").state is State.STOPPED


async def test_calls_between_sleeps_are_all_answered_however_they_meet() -> None:
    manager = manager_of(trouble(sleep=Tier.FROZEN))
    answers: list[str] = []

    async def call(number: int) -> None:
        await anyio.sleep(0.0007 * number)
        answers.append(await ask(manager, "echo", text=str(number)))

    async def put_to_sleep() -> None:
        while len(answers) < 200:
            with suppress(SleepFailed):
                await manager.sleep("s")
            await anyio.lowlevel.checkpoint()

    async with manager.open():
        pid = await pid_of(manager)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(put_to_sleep)
                for number in range(200):
                    tasks.start_soon(call, number)
        assert sorted(map(int, answers)) == list(range(200))
        assert await pid_of(manager) == pid


async def test_a_service_told_to_sleep_while_a_request_is_under_way_refuses_and_the_request_ends() -> None:
    manager = manager_of(trouble(sleep=Tier.FROZEN))
    async with manager.open(), manager.lease("s") as session:
        with pytest.raises(SleepFailed, match="in use"):
            await manager.sleep("s")
        await session.call_tool("echo", {}, ignore)
        assert not frozen(manager.one("s").pid or 0)


async def test_leaving_a_manager_while_a_service_wakes_sleeps_and_starts_leaves_nothing_behind() -> None:
    names = ("asleep", "waking", "starting", "falling")
    manager = manager_of(*(trouble(name=name, sleep=Tier.FROZEN) for name in names))
    pids: list[int] = []
    async with manager.open():
        pids += [await pid_of(manager, name) for name in ("asleep", "waking", "falling")]
        await manager.sleep("asleep")
        await manager.sleep("waking")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(manager.wake, "waking")
            tasks.start_soon(manager.start, "starting")
            tasks.start_soon(manager.sleep, "falling")
            await until(lambda: manager.one("starting").pid is not None)
            pids.append(manager.one("starting").pid or 0)
            tasks.cancel_scope.cancel()
    assert not [pid for pid in pids if alive(pid)]
