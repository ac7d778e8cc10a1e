"""The tier of the persistent store: its failures are misses."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tool_router.cache.row_tier import RowTier
from tool_router.errors import StoreError

pytestmark = pytest.mark.anyio


class Failing:
    """A store that can't be written, and not read either while it is broken."""

    broken = True

    async def decision(self, key: str) -> bytes | None:
        if self.broken:
            raise StoreError("locked")
        return b"value"

    async def save_decisions(self, decisions: object) -> None:
        raise StoreError("locked")


async def test_a_store_that_fails_is_a_miss_said_once() -> None:
    rows = Failing()
    tier = RowTier(rows)
    with capture_logs() as logs:
        for _ in range(3):
            assert await tier.get("key") is None
            await tier.put({"key": b"value"})
        assert tier.failures == 6
        rows.broken = False
        assert await tier.get("key") == b"value"
    assert [entry["event"] for entry in logs] == ["decisions_not_stored"]
