from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.integration.ai.embedding import CATALOG, TASK, TEXTS_OF_TOOLS, TOOLS, many, running
from tests.support.ollama_server import OllamaServer, Vectors
from tests.unit.catalog.samples import a_catalog
from tool_router.ai.catalog_embedder import BATCH
from tool_router.catalog.model import Catalog

pytestmark = pytest.mark.anyio


async def test_the_tool_that_the_task_speaks_of_is_nearest(server: OllamaServer) -> None:
    async with running(server.url) as relevance:
        relevance.prepare(CATALOG)
        assert await relevance.settled() == ""
        found = await relevance.scores(TASK, "", CATALOG, 10.0)
    assert found.reason == ""
    assert found.scores is not None
    assert found.scores.shape == (3,)
    assert int(found.scores.argmax()) == 1
    assert found.scores.max() <= 1.0 + 1e-5


async def test_a_catalog_is_embedded_once_and_a_changed_tool_alone(
    server: OllamaServer, tmp_path: Path
) -> None:
    path = tmp_path / "store.sqlite3"
    async with running(server.url, path) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
    first = len(server.embedded)
    assert first == len(set(server.embedded)) == len(TEXTS_OF_TOOLS)
    changed = a_catalog(TOOLS[0], replace(TOOLS[1], description="Tell the time anywhere"), TOOLS[2])
    async with running(server.url, path) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
        assert not TEXTS_OF_TOOLS.intersection(server.embedded[first:])
        relevance.prepare(changed)
        await relevance.settled()
        assert (await relevance.scores(TASK, "", changed, 10.0)).scores is not None
    assert {text for text in server.embedded[first:] if "anywhere" in text} == {
        "time convert time: Tell the time anywhere",
        "convert time: Tell the time anywhere",
        "Tell the time anywhere",
    }
    assert not TEXTS_OF_TOOLS.intersection(server.embedded[first:])


async def test_a_model_that_may_be_cold_is_warmed_before_a_request_needs_it(
    server: OllamaServer, tmp_path: Path
) -> None:
    path = tmp_path / "store.sqlite3"
    async with running(server.url, path) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
    embedded = len(server.embedded)
    # All vectors come from the store now, so that nothing has loaded the model yet.
    async with running(server.url, path) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
        assert len(server.embedded) > embedded


async def test_what_was_embedded_before_an_end_is_not_embedded_again(
    server: OllamaServer, tmp_path: Path
) -> None:
    catalog, path = many(3 * BATCH), tmp_path / "store.sqlite3"
    second_batch = anyio.Event()

    def count(vectors: Vectors) -> Vectors:
        if len(server.embedded) > BATCH:
            second_batch.set()
        return vectors

    server.spoil = count
    async with running(server.url, path) as relevance:
        relevance.prepare(catalog)
        await second_batch.wait()
    assert len(set(server.embedded)) < len(catalog.tools)
    async with running(server.url, path) as relevance:
        relevance.prepare(catalog)
        await relevance.settled()
        assert relevance.progress == (12 * BATCH, 12 * BATCH)
    # One batch may have been on its way when the first run ended.
    assert len(server.embedded) - len(set(server.embedded)) <= BATCH


async def test_while_vectors_are_computed_the_share_is_the_reason(server: OllamaServer) -> None:
    catalog = many(4 * BATCH)
    async with running(server.url) as relevance:
        assert (
            await relevance.scores(TASK, "", catalog, 1.0)
        ).reason == "the catalog's vectors are not ready yet"
        first_batch, release = anyio.Event(), anyio.Event()

        def hold_the_next(vectors: Vectors) -> Vectors:
            server.hold, server.embedding, server.spoil = release, anyio.Event(), None
            first_batch.set()
            return vectors

        server.spoil = hold_the_next
        relevance.prepare(catalog)
        await first_batch.wait()
        await server.embedding.wait()
        found = await relevance.scores(TASK, "", catalog, 1.0)
        assert found.scores is None
        assert found.reason == "the catalog's vectors are 6 % ready"
        release.set()
        assert await relevance.settled() == ""


async def test_a_newer_catalog_takes_the_place_of_one_under_way(server: OllamaServer) -> None:
    server.hold = anyio.Event()
    async with running(server.url) as relevance:
        relevance.prepare(many(10 * BATCH))
        await server.embedding.wait()
        relevance.prepare(CATALOG)
        server.hold.set()
        assert await relevance.settled() == ""
        assert (await relevance.scores(TASK, "", CATALOG, 10.0)).scores is not None
    assert len(server.embedded) == BATCH + len(TEXTS_OF_TOOLS) + 1


async def test_a_query_is_embedded_once(server: OllamaServer) -> None:
    async with running(server.url) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
        for _ in range(3):
            assert (await relevance.scores(TASK, "ctx", CATALOG, 10.0)).scores is not None
        assert sum("Tokyo" in text for text in server.embedded) == 2
        await relevance.scores(TASK, "another context", CATALOG, 10.0)
        assert sum("Tokyo" in text for text in server.embedded) == 4


@pytest.mark.parametrize("task", ["", "  \n", "\x00"])
async def test_an_empty_task_has_no_relevance(server: OllamaServer, task: str) -> None:
    async with running(server.url) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
        assert (await relevance.scores(task, "", CATALOG, 1.0)).reason == "the task is empty"


@pytest.mark.parametrize("task", ["x" * 1_000_000, "lone \ud800 surrogate", "\x07\x1b[31m", "東京の天気"])
async def test_an_odd_task_is_scored_like_any_other(server: OllamaServer, task: str) -> None:
    async with running(server.url) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
        assert (await relevance.scores(task, "", CATALOG, 10.0)).scores is not None


async def test_an_empty_catalog_is_ready_at_once(server: OllamaServer) -> None:
    async with running(server.url) as relevance:
        relevance.prepare(Catalog())
        await relevance.settled()
    assert server.embedded == []
