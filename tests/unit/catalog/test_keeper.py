from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from tests.support.scripted_gateway import Listing, ScriptedGateway
from tests.unit.catalog.keeping import NOW, ids, keeping
from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.cache.store import Store
from tool_router.catalog.keeper import CatalogKeeper
from tool_router.catalog.model import Catalog, Tool
from tool_router.errors import (
    GatewayError,
    GatewayFailed,
    GatewayProtocolError,
    GatewayUnreachable,
)

pytestmark = pytest.mark.anyio

ONE, TWO, THREE = a_tool("one"), a_tool("two"), a_tool("three")
STORED = a_catalog(ONE, TWO, fetched_at=4000.0)


def hanging(*tools: Tool) -> Listing:
    return Listing(tools, release=anyio.Event())


async def test_the_stored_catalog_is_used_while_the_gateway_does_not_answer() -> None:
    listing = hanging()
    async with keeping(ScriptedGateway(listing), stored=STORED) as keeper:
        await keeper.first()
        snapshot = keeper.snapshot()
    assert snapshot.catalog == STORED
    assert snapshot.stale
    assert snapshot.age_s == 1000.0
    assert snapshot.error is None
    assert "one, two" in snapshot.description
    assert snapshot.index.size == 2


async def test_a_fresh_catalog_takes_the_place_of_the_stored_one_and_is_stored() -> None:
    async with Store.open(None) as store:
        async with keeping(ScriptedGateway([ONE, THREE]), stored=STORED, store=store) as keeper:
            snapshot = await keeper.refresh()
            assert ids(keeper) == ["one", "three"]
            assert not snapshot.stale
            assert snapshot.age_s == 0.0
        stored = await store.load_catalog(STORED.source)
        assert stored == Catalog((ONE, THREE), NOW, STORED.source)
        assert await store.load_description(STORED.source) == snapshot.description


async def test_the_next_run_starts_with_what_this_one_saw() -> None:
    async with Store.open(None) as store:
        async with keeping(ScriptedGateway([ONE]), store=store) as keeper:
            await keeper.first()
        async with keeping(ScriptedGateway(hanging()), store=store) as keeper:
            await keeper.first()
            assert ids(keeper) == ["one"]


async def test_without_a_stored_catalog_first_waits_for_the_gateway() -> None:
    listing = hanging(ONE)
    assert listing.release is not None
    async with keeping(ScriptedGateway(listing)) as keeper:
        await listing.started.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.first)
            await anyio.wait_all_tasks_blocked()
            assert ids(keeper) == []
            listing.release.set()
        assert ids(keeper) == ["one"]


@pytest.mark.parametrize(
    "error",
    [
        GatewayUnreachable("Nobody listens."),
        GatewayFailed("It answered 500."),
        GatewayProtocolError("It answered HTML."),
    ],
)
async def test_without_any_catalog_first_says_why_there_is_none(error: GatewayError) -> None:
    gateway = ScriptedGateway(Listing(error=error))
    async with keeping(gateway) as keeper:
        for _ in range(2):
            with pytest.raises(GatewayError) as caught:
                await keeper.first()
            assert caught.value is error
        assert keeper.snapshot().error is error
        assert keeper.snapshot().stale
        gateway.listings.append(Listing([ONE]))
        await keeper.first()
        assert ids(keeper) == ["one"]


async def test_a_gateway_without_tools_is_no_error() -> None:
    async with keeping(ScriptedGateway([])) as keeper:
        await keeper.first()
        snapshot = keeper.snapshot()
    assert snapshot.catalog.tools == ()
    assert not snapshot.stale


async def test_many_callers_share_one_refresh() -> None:
    listing = hanging(ONE)
    assert listing.release is not None
    gateway = ScriptedGateway([TWO], listing)
    async with keeping(gateway) as keeper:
        await keeper.first()
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(keeper.refresh)
            await listing.started.wait()
            listing.release.set()
        assert ids(keeper) == ["one"]
        assert gateway.listed == 2


async def test_a_cancelled_caller_does_not_cancel_the_refresh_others_wait_for() -> None:
    listing = hanging(ONE)
    assert listing.release is not None
    gateway = ScriptedGateway(listing)
    seen: list[Sequence[Tool]] = []

    async def wait_for_it() -> None:
        seen.append((await keeper.refresh()).catalog.tools)

    async with keeping(gateway) as keeper, anyio.create_task_group() as patient:
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(keeper.refresh)
            await listing.started.wait()
            patient.start_soon(wait_for_it)
            impatient.cancel_scope.cancel()
        listing.release.set()
    assert seen == [(ONE,)]
    assert gateway.cancelled == 0


async def test_leaving_cancels_a_listing_under_way() -> None:
    listing = hanging(ONE)
    gateway = ScriptedGateway(listing)
    async with keeping(gateway):
        await listing.started.wait()
    assert gateway.cancelled == 1


async def test_a_sudden_empty_listing_is_doubted_once_and_believed_the_second_time() -> None:
    gateway = ScriptedGateway([ONE, TWO], [])
    async with keeping(gateway) as keeper:
        await keeper.first()
        snapshot = await keeper.refresh()
        assert ids(keeper) == ["one", "two"]
        assert snapshot.stale
        assert "2 known ones are kept" in str(snapshot.error)
        snapshot = await keeper.refresh()
        assert snapshot.catalog.tools == ()
        assert snapshot.error is None


async def test_an_empty_listing_between_full_ones_changes_nothing() -> None:
    seen: list[Catalog] = []
    gateway = ScriptedGateway([ONE], [], [ONE], [], [ONE])
    async with keeping(gateway, on_change=seen.append) as keeper:
        for _ in range(5):
            await keeper.refresh()
        assert ids(keeper) == ["one"]
    assert len(seen) == 1


async def test_an_unchanged_catalog_keeps_its_index_and_tells_nobody() -> None:
    seen: list[Catalog] = []
    now = NOW
    gateway = ScriptedGateway([ONE, TWO], [replace(ONE), replace(TWO)])
    async with keeping(gateway, on_change=seen.append, clock=lambda: now) as keeper:
        await keeper.first()
        before = keeper.snapshot()
        now += 60.0
        after = await keeper.refresh()
    assert after.index is before.index
    assert after.catalog.fetched_at == before.catalog.fetched_at + 60.0
    assert len(seen) == 1


async def test_every_changed_catalog_is_told_the_stored_one_too() -> None:
    seen: list[Catalog] = []
    changed = replace(TWO, description="something else")
    async with keeping(ScriptedGateway([ONE, changed]), stored=STORED, on_change=seen.append) as keeper:
        with capture_logs() as logs:
            await keeper.refresh()
    assert [catalog.tools for catalog in seen] == [(ONE, TWO), (ONE, changed)]
    told = next(entry for entry in logs if entry["event"] == "catalog_changed")
    assert (told["added"], told["removed"], told["changed"]) == (0, 0, 1)
    assert told["ids"] == (TWO.id,)


async def test_a_snapshot_stays_as_it_was() -> None:
    gateway = ScriptedGateway([ONE], [TWO])
    async with keeping(gateway) as keeper:
        await keeper.first()
        snapshot = keeper.snapshot()
        await keeper.refresh()
        assert ids(keeper) == ["two"]
    assert [tool.name for tool in snapshot.catalog.tools] == ["one"]


async def test_of_tools_with_one_id_the_first_is_kept_and_the_others_are_reported() -> None:
    with capture_logs() as logs:
        async with keeping(ScriptedGateway([ONE, replace(ONE, description="twin"), TWO])) as keeper:
            await keeper.first()
            assert keeper.snapshot().catalog.tools == (ONE, TWO)
    warned = next(entry for entry in logs if entry["event"] == "catalog_has_duplicate_ids")
    assert (warned["count"], warned["ids"]) == (1, (ONE.id,))


async def test_a_damaged_store_costs_the_stored_catalog_only(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "store.sqlite3"
    async with Store.open(path) as store:
        await store.save_catalog(STORED, "words")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE catalogs SET tools = x'00'")
        connection.commit()
    with capture_logs() as logs:
        async with Store.open(path) as store, keeping(ScriptedGateway([THREE]), store=store) as keeper:
            await keeper.first()
            assert ids(keeper) == ["three"]
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["catalog_not_loaded"]


async def test_a_catalog_that_can_not_be_stored_is_used_all_the_same() -> None:
    # No JSON can hold a set; the fingerprint takes it as text.
    odd = a_tool("odd", input_schema={"default": {1, 2}})
    with capture_logs() as logs:
        async with keeping(ScriptedGateway([odd])) as keeper:
            await keeper.first()
            assert ids(keeper) == ["odd"]
    assert "catalog_not_saved" in [entry["event"] for entry in logs]


async def test_a_schema_nested_beyond_reading_is_the_gateways_error() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100_000):
        schema = {"items": schema}
    async with keeping(ScriptedGateway([a_tool("deep", input_schema=schema)]), stored=STORED) as keeper:
        snapshot = await keeper.refresh()
    assert isinstance(snapshot.error, GatewayProtocolError)
    assert snapshot.catalog == STORED


async def test_a_keeper_that_does_not_run_refuses_to_refresh() -> None:
    async with Store.open(None) as store:
        keeper = CatalogKeeper(ScriptedGateway(), store)
        with pytest.raises(RuntimeError):
            await keeper.refresh()
        assert keeper.snapshot().catalog.tools == ()


def test_catalog_and_store_load_without_numpy_and_rapidfuzz() -> None:
    code = (
        "import sys, tool_router.catalog.keeper, tool_router.catalog.find, tool_router.cache.store;"
        "heavy = {'numpy', 'rapidfuzz', 'ollama', 'jsonschema'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
