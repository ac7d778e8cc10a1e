from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.scripted_gateway import ScriptedGateway
from tests.unit.catalog.keeping import keeping
from tests.unit.catalog.samples import a_tool
from tool_router.cache.store import Store
from tool_router.catalog.pins import accept, review
from tool_router.catalog.suspicion import Concern

pytestmark = pytest.mark.anyio

ONE, TWO = a_tool("one"), a_tool("two")
CHANGED = replace(ONE, description="now it says something else")


async def test_a_tool_that_changes_between_two_refreshes_is_flagged_until_it_is_accepted() -> None:
    async with Store.open(None) as store:
        async with keeping(ScriptedGateway([ONE]), store=store) as keeper:
            await keeper.first()
        async with keeping(ScriptedGateway([CHANGED, TWO]), store=store) as keeper:
            catalog = (await keeper.refresh()).catalog
        assert [(found.tool_id, found.concern) for found in await review(catalog, store)] == [
            (ONE.id, Concern.CHANGED)
        ]
        await accept(catalog, store, [ONE.id, "no such tool"])
        assert await review(catalog, store) == ()
        assert set(await store.pins(catalog.source)) == {ONE.id, TWO.id}
