"""Hours of refreshing in milliseconds: time jumps whenever nothing can happen before it.

The clock does not know of worker threads, so these tests wait for a listing to begin, not for a time.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from tests.support.scripted_gateway import Listing, ScriptedGateway
from tests.unit.catalog.keeping import ids, keeping
from tests.unit.catalog.samples import a_tool
from tool_router.errors import GatewayBusy, GatewayFailed, GatewayTimeout, GatewayUnreachable

pytestmark = pytest.mark.anyio

ONE, TWO = a_tool("one"), a_tool("two")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def test_a_failed_refresh_keeps_the_last_good_catalog_and_is_said_once() -> None:
    error = GatewayFailed("It answered 500.")
    gateway = ScriptedGateway([ONE], Listing(error=error))
    with capture_logs() as logs:
        async with keeping(gateway, refresh_s=60.0) as keeper:
            await keeper.first()
            await anyio.sleep(3600)
            snapshot = keeper.snapshot()
    assert [tool.name for tool in snapshot.catalog.tools] == ["one"]
    assert snapshot.stale
    assert snapshot.error is error
    assert gateway.listed > 30
    assert [entry["event"] for entry in logs].count("catalog_refresh_failed") == 1


async def test_failures_are_asked_again_after_growing_rests() -> None:
    gateway = ScriptedGateway(Listing(error=GatewayUnreachable("Nobody listens.")))
    async with keeping(gateway, refresh_s=60.0):
        await anyio.sleep(200)
    rests = [round(after - before, 3) for before, after in pairwise(gateway.listed_at)]
    assert rests[:8] == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_a_gateway_that_never_answers_is_given_up() -> None:
    gateway = ScriptedGateway(Listing(release=anyio.Event()))
    async with keeping(gateway, list_timeout_s=20.0) as keeper:
        with pytest.raises(GatewayTimeout, match="within 20 s"):
            await keeper.first()
    assert gateway.cancelled >= 1


async def test_a_gateway_that_recovers_is_believed_again() -> None:
    recovered = Listing([TWO])
    gateway = ScriptedGateway([ONE], Listing(error=GatewayFailed("It answered 500.")), recovered)
    with capture_logs() as logs:
        async with keeping(gateway, refresh_s=60.0) as keeper:
            await recovered.started.wait()
            snapshot = await keeper.refresh()
    assert [tool.name for tool in snapshot.catalog.tools] == ["two"]
    assert not snapshot.stale
    assert snapshot.error is None
    assert "catalog_refresh_recovered" in [entry["event"] for entry in logs]


@pytest.mark.parametrize(("jitter", "interval"), [(0.0, 54.0), (0.5, 60.0), (1.0, 66.0)])
async def test_refreshes_come_at_their_interval_give_or_take_a_tenth(jitter: float, interval: float) -> None:
    third = Listing([ONE])
    gateway = ScriptedGateway([ONE], [ONE], third)
    async with keeping(gateway, refresh_s=60.0, jitter=lambda: jitter):
        await third.started.wait()
    assert [after - before for before, after in pairwise(gateway.listed_at)] == pytest.approx([interval] * 2)


async def test_a_busy_gateway_is_left_alone_for_its_whole_retry_after() -> None:
    later = Listing([TWO])
    gateway = ScriptedGateway([ONE], Listing(error=GatewayBusy(300.0, "429.")), later)
    async with keeping(gateway, refresh_s=60.0) as keeper:
        await keeper.first()
        snapshot = await keeper.refresh()
        assert isinstance(snapshot.error, GatewayBusy)
        for _ in range(10):
            await keeper.refresh()
        assert gateway.listed == 2
        await later.started.wait()
        assert gateway.listed_at[2] - gateway.listed_at[1] >= 300.0
        await keeper.refresh()
        assert ids(keeper) == ["two"]
