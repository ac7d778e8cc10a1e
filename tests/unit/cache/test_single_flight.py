"""One computation for everyone who asks at the same time, whoever is cancelled."""

from __future__ import annotations

import anyio
import pytest

from tool_router.cache.single_flight import SingleFlight

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Work:
    """Work that waits until it is let go, then fails or gives a number that says how often it ran."""

    def __init__(self, error: Exception | None = None) -> None:
        self.started = 0
        self.error = error
        self.go = anyio.Event()

    async def __call__(self) -> int:
        self.started += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return self.started


async def test_those_who_ask_at_the_same_time_share_one_computation() -> None:
    flights, work, results = SingleFlight[int](), Work(), list[int]()

    async def ask() -> None:
        results.append(await flights.run("key", work))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        work.go.set()
    assert results == [1] * 20
    assert len(flights) == 0


async def test_other_keys_are_not_waited_for() -> None:
    flights, held, free = SingleFlight[int](), Work(), Work()
    free.go.set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(flights.run, "held", held)
        await anyio.wait_all_tasks_blocked()
        assert await flights.run("free", free) == 1
        held.go.set()


async def test_a_cancelled_leader_does_not_kill_those_who_wait() -> None:
    flights, work, results = SingleFlight[int](), Work(), list[int]()

    async def ask() -> None:
        results.append(await flights.run("key", work))

    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as leading:
            leading.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            for _ in range(5):
                tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            leading.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert work.started == 2
        work.go.set()
    assert results == [2] * 5
    assert len(flights) == 0


async def test_a_cancelled_follower_disturbs_nobody() -> None:
    flights, work, results = SingleFlight[int](), Work(), list[int]()

    async def ask() -> None:
        results.append(await flights.run("key", work))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as following:
            following.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            following.cancel_scope.cancel()
        work.go.set()
    assert results == [1]


async def test_a_failure_reaches_everyone_who_waits_and_is_forgotten() -> None:
    flights, work = SingleFlight[int](), Work(ValueError("no"))
    failed = 0

    async def ask() -> None:
        nonlocal failed
        with pytest.raises(ValueError, match="no"):
            await flights.run("key", work)
        failed += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        work.go.set()
    assert (failed, work.started) == (3, 1)
    work.error = None
    assert await flights.run("key", work) == 2
