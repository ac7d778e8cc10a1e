"""With room for one service two of them take turns."""

from __future__ import annotations

import sys

import anyio
import pytest

from service_manager.errors import LimitReached
from service_manager.model import State, Tier
from service_manager.policy.rules import ResourceRules, SystemRules
from tests.integration.service_troubles.trouble import ask, manager_of, pid_of, trouble, until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere what keeps its state stays awake"),
]


def room_for_one(start_wait_s: float = 5.0) -> ResourceRules:
    return ResourceRules(system=SystemRules(max_concurrent=1, start_wait_s=start_wait_s))


@pytest.mark.parametrize("tier", [Tier.FROZEN, Tier.RESPAWN, None])
async def test_two_services_take_turns_and_the_idle_one_sleeps(tier: Tier | None) -> None:
    specs = [
        trouble(name=name, sleep=tier, stateless=tier is Tier.RESPAWN, min_sleep_time_s=0.0) for name in "ab"
    ]
    manager = manager_of(*specs, rules=room_for_one())
    async with manager.open():
        with anyio.fail_after(20):
            for turn in range(4):
                for name, other in ("ab", "ba"):
                    assert await ask(manager, "echo", name, text=str(turn)) == str(turn)
                    assert manager.one(name).state is State.RUNNING
                    rested = State.SLEEPING if turn or name == "b" else State.STOPPED
                    assert manager.one(other).state is rested
        if tier is Tier.FROZEN:
            assert [manager.one(name).starts for name in "ab"] == [1, 1]


async def test_what_waits_for_a_leased_service_gets_its_room_once_the_lease_ends() -> None:
    manager = manager_of(trouble(name="a", min_sleep_time_s=0.0), trouble(name="b"), rules=room_for_one())
    async with manager.open(), anyio.create_task_group() as tasks:
        answers: list[str] = []

        async def call() -> None:
            answers.append(await ask(manager, "echo", "b", text="in turn"))

        with anyio.fail_after(10):
            async with manager.lease("a"):
                tasks.start_soon(call)
                await until(lambda: manager.one("b").leases == 1)
                await anyio.wait_all_tasks_blocked()
                assert manager.one("b").state is State.STOPPED
                assert answers == []
            await until(lambda: bool(answers))
        assert manager.one("a").state is State.SLEEPING


async def test_what_waits_in_vain_is_told_which_limit_and_who_holds_the_room() -> None:
    manager = manager_of(trouble(name="a"), trouble(name="b"), rules=room_for_one(0.2))
    async with manager.open(), manager.lease("a"):
        began = anyio.current_time()
        with pytest.raises(LimitReached, match=r"1 services are awake.*within 0\.2 s \(a\)") as reached:
            await manager.ready("b")
        assert 0.2 <= anyio.current_time() - began < 2
        assert "max_concurrent" in reached.value.next_step
        assert (manager.one("b").state, manager.one("b").leases) == (State.STOPPED, 0)
        # It was never started, so that it can't have failed.
        assert (manager.one("b").failure, manager.one("b").crashes) == ("", 0)


async def test_a_crowd_on_two_services_with_room_for_one_is_served_whole() -> None:
    specs = [trouble(name=name, sleep=Tier.FROZEN, min_sleep_time_s=0.0) for name in "ab"]
    manager = manager_of(*specs, rules=room_for_one(15.0))
    answers: list[str] = []

    async def call(number: int) -> None:
        answers.append(await ask(manager, "echo", "ab"[number % 2], text=str(number)))

    async with manager.open():
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for number in range(40):
                    tasks.start_soon(call, number)
        assert sorted(map(int, answers)) == list(range(40))
        assert sum(manager.one(name).state is State.RUNNING for name in "ab") <= 1


async def test_a_service_that_cannot_sleep_does_not_keep_the_room_for_ever() -> None:
    manager = manager_of(
        trouble(name="a", sleep=Tier.WARM, min_sleep_time_s=0.0), trouble(name="b"), rules=room_for_one(0.2)
    )
    async with manager.open():
        await pid_of(manager, "a")
        with anyio.fail_after(5), pytest.raises(LimitReached, match="a"):
            await manager.ready("b")
        # Its owner wants it awake; a person who stops it makes the room.
        await manager.stop("a")
        assert await ask(manager, "echo", "b", text="x") == "x"
