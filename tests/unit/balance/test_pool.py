"""Who gets a call: targets in use, full ones, the queue, and those that come back."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from tests.unit.balance.clock import ManualClock
from tool_router.balance.pool import Pool
from tool_router.balance.ramp import RampSettings
from tool_router.balance.requirements import CallRequest
from tool_router.balance.selecting import Selecting
from tool_router.balance.target_state import TargetSpec
from tool_router.errors import PoolBusy

pytestmark = pytest.mark.anyio
ANY = CallRequest()


def pool_of(clock: ManualClock, *specs: TargetSpec, queue_limit: int = 10) -> Pool[str]:
    pool = Pool[str](
        Selecting("round_robin"), clock=clock, queue_limit=queue_limit, ramp=RampSettings(0.1, 10.0)
    )
    for spec in specs:
        pool.add(spec, spec.name)
    return pool


def every(name: str) -> bool:
    return True


def chosen(pool: Pool[str], times: int = 8) -> set[str]:
    names: set[str] = set()
    for _ in range(times):
        member = pool.choose(every, ANY)
        assert member is not None
        names.add(member.name)
    return names


def test_a_drained_target_gets_no_call_and_a_resumed_one_does(clock: ManualClock) -> None:
    pool = pool_of(clock, TargetSpec("a"), TargetSpec("b"))
    assert chosen(pool) == {"a", "b"}
    pool.drain("a")
    assert chosen(pool) == {"b"}
    pool.resume("a")
    clock.advance(10)
    assert chosen(pool) == {"a", "b"}


def test_a_failing_target_is_called_only_when_no_other_is_left(clock: ManualClock) -> None:
    pool = pool_of(clock, TargetSpec("a"), TargetSpec("b"))
    pool.failing("a", "it hangs")
    assert chosen(pool) == {"b"}
    pool.drain("b")
    assert chosen(pool) == {"a"}


def test_a_target_that_works_again_gets_its_share_back_evenly_and_never_less(clock: ManualClock) -> None:
    pool = pool_of(clock, TargetSpec("a"), TargetSpec("b"))
    pool.failing("a", "it hangs")
    pool.working("a")
    shares: list[float] = []
    for _ in range(11):
        pool.choose(every, ANY)
        shares.append(pool.get("a").state.share)
        clock.advance(1)
    assert shares[0] == pytest.approx(0.1)
    assert shares[5] == pytest.approx(0.55)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


def test_a_target_without_the_labels_of_a_call_is_left_out_by_what_admits(clock: ManualClock) -> None:
    pool = pool_of(clock, TargetSpec("a", labels=frozenset({"gpu"})), TargetSpec("b"))
    request = CallRequest(labels=frozenset({"gpu"}))
    assert {pool.choose(every, request).name for _ in range(4)} == {"a"}  # type: ignore[union-attr]


def test_a_target_that_is_registered_again_keeps_its_history(clock: ManualClock) -> None:
    pool = pool_of(clock, TargetSpec("a"))
    window = pool.get("a").state.window
    pool.add(TargetSpec("a", weight=3.0), "other")
    assert pool.get("a").state.window is window
    assert pool.get("a").state.spec.weight == 3.0
    pool.change(TargetSpec("a", weight=4.0, capacity=2))
    assert pool.get("a").state.spec == TargetSpec("a", weight=4.0, capacity=2)


async def test_calls_beyond_the_capacity_wait_and_are_served_in_order(clock: ManualClock) -> None:
    pool = pool_of(clock, TargetSpec("a", capacity=1))
    first = await pool.acquire(every, ANY)
    assert first is not None
    served: list[int] = []

    async def call(number: int) -> None:
        member = await pool.acquire(every, ANY)
        assert member is not None
        served.append(number)
        with pool.lease(member, ANY):
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(call, number)
            await anyio.wait_all_tasks_blocked()
        assert (pool.waiting, served) == (5, [])
        with pool.lease(first, ANY):
            pass
    assert served == [0, 1, 2, 3, 4]
    assert pool.get("a").state.in_flight == 0
    assert pool.waiting == 0


async def test_a_full_queue_says_when_to_come_back(clock: ManualClock) -> None:
    pool = pool_of(clock, TargetSpec("a", capacity=1), queue_limit=0)
    assert await pool.acquire(every, ANY) is not None
    with pytest.raises(PoolBusy, match="every target is busy") as caught:
        await pool.acquire(every, ANY)
    assert caught.value.retry_after_s >= 1
    assert not caught.value.reached_tool


async def test_a_waiting_call_that_is_cancelled_leaves_no_trace(clock: ManualClock) -> None:
    pool = pool_of(clock, TargetSpec("a", capacity=1))
    first = await pool.acquire(every, ANY)
    assert first is not None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.acquire, every, ANY)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert pool.waiting == 0
    with pool.lease(first, ANY):
        pass
    assert pool.get("a").state.in_flight == 0


async def test_a_place_handed_to_a_call_that_was_just_cancelled_goes_to_the_next(clock: ManualClock) -> None:
    pool = pool_of(clock, TargetSpec("a", capacity=1))
    first = await pool.acquire(every, ANY)
    assert first is not None
    scope, served = anyio.CancelScope(), anyio.Event()

    async def cancelled() -> None:
        with scope:
            await pool.acquire(every, ANY)

    async def patient() -> None:
        if await pool.acquire(every, ANY) is not None:
            served.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancelled)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(patient)
        await anyio.wait_all_tasks_blocked()
        with pool.lease(first, ANY):
            scope.cancel()
        await served.wait()
    assert pool.get("a").state.in_flight == 1


async def test_calls_that_wait_for_a_target_that_is_held_off_are_let_go(clock: ManualClock) -> None:
    pool = pool_of(clock, TargetSpec("a", capacity=1))
    assert await pool.acquire(every, ANY) is not None
    open_: set[str] = set()
    got: list[object] = []

    async def call() -> None:
        got.append(await pool.acquire(lambda name: name not in open_, ANY))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        open_.add("a")
        pool.review()
    assert got == [None]


async def test_a_new_target_takes_calls_that_wait(clock: ManualClock) -> None:
    pool = pool_of(clock, TargetSpec("a", capacity=1))
    assert await pool.acquire(every, ANY) is not None
    got: list[str] = []

    async def call() -> None:
        member = await pool.acquire(every, ANY)
        got.append(member.name if member else "")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        pool.add(TargetSpec("b"), "b")
    assert got == ["b"]


async def test_a_removed_target_is_empty_when_its_last_call_ends(clock: ManualClock) -> None:
    pool = pool_of(clock, TargetSpec("a"), TargetSpec("b"))
    member = pool.get("a")
    member.state.in_flight += 1
    pool.remove("a")
    emptied = anyio.Event()

    async def wait() -> None:
        await pool.emptied(member)
        emptied.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert not emptied.is_set()
        with pool.lease(member, ANY):
            pass
    assert emptied.is_set()
    assert chosen(pool) == {"b"}


async def test_a_call_that_requires_labels_waits_for_the_one_target_that_has_them(clock: ManualClock) -> None:
    pool = pool_of(
        clock, TargetSpec("gpu", labels=frozenset({"gpu"}), capacity=1), TargetSpec("b", capacity=1)
    )
    request = CallRequest(labels=frozenset({"gpu"}))
    first = await pool.acquire(every, request)
    other = await pool.acquire(every, ANY)
    assert first is not None
    assert other is not None
    got: list[str] = []

    async def call() -> None:
        member = await pool.acquire(every, request)
        got.append(member.name if member else "")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        with pool.lease(other, ANY):
            pass
        assert (pool.waiting, got) == (1, [])
        with pool.lease(first, request):
            pass
    assert got == ["gpu"]
    assert not pool.fits(CallRequest(labels=frozenset({"tpu"})))
