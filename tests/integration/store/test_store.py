from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

import anyio
import pytest

from tests.integration.store.conftest import Place
from tests.unit.catalog.samples import a_catalog, a_tool, servers
from tool_router.cache.store import Store
from tool_router.catalog.model import Availability, Catalog, Hints
from tool_router.errors import StoreError

pytestmark = pytest.mark.anyio

CATALOG = a_catalog(
    a_tool(
        "read_file",
        title="Read",
        description="Reads; odd text too: \ud800 \x00 東京",
        input_schema={"type": "object", "properties": {"path": {"type": "string"}}},
        hints=Hints(read_only=True, destructive=False),
        call_name="files-read-file",
        tags=("a", "b"),
    ),
    a_tool("anything", input_schema=True),
    a_tool(
        "search",
        "brave",
        availability=Availability.NEEDS,
        unavailable_reason="BRAVE_API_KEY is not set.",
    ),
)


def blob(*values: float) -> bytes:
    return struct.pack(f"{len(values)}f", *values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "store.sqlite3"


async def test_a_catalog_comes_back_as_it_was(place: Place) -> None:
    async with place.open() as store:
        assert await store.load_catalog(CATALOG.source) is None
        await store.save_catalog(CATALOG, "what it can do")
        loaded = await store.load_catalog(CATALOG.source)
        assert loaded == CATALOG
        assert loaded is not None
        assert loaded.fingerprint == CATALOG.fingerprint
        assert await store.load_description(CATALOG.source) == "what it can do"


async def test_nothing_is_opened_before_it_is_needed(path: Path) -> None:
    async with Store.open(path):
        assert not path.parent.exists()


async def test_each_gateway_has_its_own_catalog(place: Place) -> None:
    other = a_catalog(a_tool("other"), source="other:gateway")
    async with place.open() as store:
        await store.save_catalog(CATALOG, "one")
        await store.save_catalog(other, "two")
    async with place.open() as store:
        assert await store.load_catalog("other:gateway") == other
        assert await store.load_catalog(CATALOG.source) == CATALOG


async def test_an_older_catalog_does_not_replace_a_newer_one(place: Place) -> None:
    newer = a_catalog(a_tool("newer"), fetched_at=2000.0)
    older = a_catalog(a_tool("older"), fetched_at=1000.0)
    async with place.open() as store:
        await store.save_catalog(newer, "newer")
        await store.save_catalog(older, "older")
        assert await store.load_catalog(newer.source) == newer


async def test_a_confirmed_catalog_gets_its_new_time_and_description(place: Place) -> None:
    async with place.open() as store:
        await store.save_catalog(CATALOG, "old words")
        await store.save_catalog(Catalog(CATALOG.tools, 5000.0, CATALOG.source), "new words")
        loaded = await store.load_catalog(CATALOG.source)
        assert loaded is not None
        assert loaded.fetched_at == 5000.0
        assert await store.load_description(CATALOG.source) == "new words"


async def test_a_damaged_row_is_an_error_and_can_be_written_anew(path: Path) -> None:
    async with Store.open(path) as store:
        await store.save_catalog(CATALOG, "x")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE catalogs SET tools = ?, fingerprint = ''", (b"not compressed",))
    connection.close()
    async with Store.open(path) as store:
        with pytest.raises(StoreError, match="can't be read"):
            await store.load_catalog(CATALOG.source)
        await store.save_catalog(CATALOG, "x")
        assert await store.load_catalog(CATALOG.source) == CATALOG


async def test_a_schema_that_is_no_json_is_an_error_and_leaves_the_stored_catalog(place: Place) -> None:
    broken = a_catalog(a_tool("broken", input_schema={"default": object()}), fetched_at=9000.0)
    async with place.open() as store:
        await store.save_catalog(CATALOG, "x")
        with pytest.raises(StoreError, match="JSON"):
            await store.save_catalog(broken, "y")
        assert await store.load_catalog(CATALOG.source) == CATALOG


async def test_vectors_are_kept_for_each_model(place: Place) -> None:
    async with place.open() as store:
        await store.save_vectors("one@1", {"a": blob(1, 2), "b": blob(3, 4)})
        await store.save_vectors("two@1", {"a": blob(5, 6, 7)})
    async with place.open() as store:
        assert await store.vectors("one@1", ["a", "b", "absent"]) == {"a": blob(1, 2), "b": blob(3, 4)}
        assert await store.vectors("two@1", ["a"]) == {"a": blob(5, 6, 7)}
        assert await store.vectors("three@1", ["a"]) == {}


async def test_ten_thousand_vectors_are_found_by_one_question(place: Place) -> None:
    vectors = {f"hash{number:064d}": blob(float(number)) for number in range(10_000)}
    async with place.open() as store:
        await store.save_vectors("m", vectors)
        assert await store.vectors("m", list(vectors)) == vectors


async def test_vectors_nobody_used_for_a_month_are_deleted(place: Place) -> None:
    now = 0.0
    day = 86_400.0
    async with place.open(lambda: now) as store:
        await store.save_vectors("m", {"used": blob(1), "unused": blob(2)})
        now = 20 * day
        await store.vectors("m", ["used"])
        now = 40 * day
        await store.save_vectors("m", {"new": blob(3)})
        assert set(await store.vectors("m", ["used", "unused", "new"])) == {"used", "new"}


async def test_a_pin_stays_until_another_is_accepted(place: Place) -> None:
    async with place.open() as store:
        await store.pin("gateway", {"a": "first", "b": "first"})
        await store.pin("gateway", {"a": "second"})
        assert await store.pins("gateway") == {"a": "first", "b": "first"}
        await store.pin("gateway", {"a": "second"}, accept=True)
        assert await store.pins("gateway") == {"a": "second", "b": "first"}
        assert await store.pins("another") == {}


async def test_two_routers_share_one_file(place: Place) -> None:
    async with place.open() as one, place.open() as two:
        await one.save_catalog(CATALOG, "one")
        assert await two.load_catalog(CATALOG.source) == CATALOG
        await two.save_vectors("m", {"a": blob(1)})
        assert await one.vectors("m", ["a"]) == {"a": blob(1)}


async def test_many_writers_at_once_lose_nothing(place: Place) -> None:
    async def write(store: Store, writer: int) -> None:
        for number in range(10):
            await store.save_vectors(f"writer{writer}", {str(number): blob(float(number))})

    async with place.open() as one, place.open() as two, anyio.create_task_group() as tasks:
        for writer in range(8):
            tasks.start_soon(write, (one, two)[writer % 2], writer)
    async with place.open() as store:
        for writer in range(8):
            assert len(await store.vectors(f"writer{writer}", [str(n) for n in range(10)])) == 10


async def test_a_cancelled_save_leaves_the_store_usable(place: Place) -> None:
    big = servers(500)
    async with place.open() as store:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.save_catalog, big, "big")
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await store.save_catalog(CATALOG, "small")
        assert await store.load_catalog(CATALOG.source) is not None
