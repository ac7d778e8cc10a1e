"""When a daemon is unused."""

from __future__ import annotations

import anyio
import pytest
import trio.testing

from service_manager.daemon.activity import Activity

pytestmark = pytest.mark.anyio

IDLE_S = 600.0


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


async def test_without_any_use_it_is_unused_after_that_time() -> None:
    began = anyio.current_time()
    await Activity().unused(IDLE_S, lambda: False)
    assert anyio.current_time() - began == pytest.approx(IDLE_S)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_time_counts_from_the_end_of_the_last_request_or_stream(stream: bool) -> None:
    activity = Activity()

    async def use() -> None:
        await anyio.sleep(500)
        with activity.request(stream=stream):
            await anyio.sleep(5_000)
            with activity.request(stream=False):
                pass
            await anyio.sleep(2_000)

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use)
        await activity.unused(IDLE_S, lambda: False)
    assert anyio.current_time() - began == pytest.approx(7_500 + IDLE_S)


async def test_a_lease_of_somebody_else_keeps_it() -> None:
    began, activity = anyio.current_time(), Activity()
    await activity.unused(IDLE_S, lambda: anyio.current_time() - began < 1_000)
    assert anyio.current_time() - began == pytest.approx(2 * IDLE_S)


async def test_requests_are_waited_for_and_streams_are_not() -> None:
    activity = Activity()

    async def use(*, stream: bool, for_s: float) -> None:
        with activity.request(stream=stream):
            await anyio.sleep(for_s)

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: use(stream=True, for_s=1_000))
        tasks.start_soon(lambda: use(stream=False, for_s=30))
        await anyio.sleep(1)
        await activity.calls_done()
        assert anyio.current_time() - began == pytest.approx(30)
        tasks.cancel_scope.cancel()
