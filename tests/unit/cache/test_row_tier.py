"""The tier of the persistent store: its failures are misses, and it is left alone after them."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import pytest
import trio.testing
from structlog.testing import capture_logs

from tool_router.cache.rest import LONGEST_S
from tool_router.cache.row_tier import GET_S, RowTier
from tool_router.errors import StoreError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Virtual time: waiting costs nothing and is exact."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Rows:
    """A store that answers, refuses or hangs."""

    def __init__(self) -> None:
        self.refusing = False
        self.hanging = False
        self.asked = 0

    async def decision(self, key: str) -> bytes | None:
        await self._answer()
        return b"value"

    async def save_decisions(self, decisions: Mapping[str, bytes]) -> None:
        await self._answer()

    async def _answer(self) -> None:
        self.asked += 1
        if self.hanging:
            await anyio.sleep_forever()
        if self.refusing:
            raise StoreError("locked")


def tier_of(rows: Rows) -> RowTier:
    return RowTier(rows, clock=trio.current_time)


async def test_a_store_that_fails_is_a_miss_said_once_and_left_alone() -> None:
    rows = Rows()
    tier = tier_of(rows)
    rows.refusing = True
    with capture_logs() as logs:
        for _ in range(3):
            assert await tier.get("key") is None
            await tier.put({"key": b"value"})
        assert (rows.asked, tier.failures) == (1, 1)
        await anyio.sleep(LONGEST_S)
        await tier.put({"key": b"value"})
        assert (rows.asked, tier.failures) == (2, 2)
        await anyio.sleep(LONGEST_S)
        rows.refusing = False
        for _ in range(3):
            assert await tier.get("key") == b"value"
    assert [entry["event"] for entry in logs] == ["decisions_not_stored"]


async def test_a_store_that_hangs_costs_one_lookup_its_limit() -> None:
    rows = Rows()
    tier = tier_of(rows)
    rows.hanging = True
    started = trio.current_time()
    for _ in range(20):
        assert await tier.get("key") is None
    assert trio.current_time() - started == pytest.approx(GET_S)
    assert tier.failures == 1
    rows.hanging = False
    await anyio.sleep(LONGEST_S)
    assert await tier.get("key") == b"value"


async def test_a_store_that_works_again_is_said_anew_when_it_fails_again() -> None:
    rows = Rows()
    tier = tier_of(rows)
    with capture_logs() as logs:
        for rows.refusing in (True, False, True):
            await tier.put({"key": b"value"})
            await anyio.sleep(LONGEST_S)
    assert len(logs) == 2
