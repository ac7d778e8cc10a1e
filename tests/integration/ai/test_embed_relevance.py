from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from tests.support.loopback import Fault, answer, break_off, never, refusing_url
from tests.support.ollama_server import Model, OllamaServer, Vectors, fewer, not_numbers, shorter, zeros
from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.ai.catalog_embedder import BATCH
from tool_router.ai.ollama import OllamaProvider
from tool_router.ai.relevance import EmbedRelevance
from tool_router.ai.vectors import tool_texts
from tool_router.cache.store import Store
from tool_router.catalog.model import Catalog

pytestmark = pytest.mark.anyio

TOOLS = (
    a_tool("read_file", "files", "Read the whole content of a file from disk"),
    a_tool("convert_time", "time", "Convert a time between two time zones"),
    a_tool("create_issue", "github", "Open a new issue in a repository"),
)
CATALOG = a_catalog(*TOOLS)
TEXTS_OF_TOOLS = {text for tool in TOOLS for text in tool_texts(tool)}
TASK = "convert the time of the meeting to the time zone of Tokyo"


def many(count: int) -> Catalog:
    return a_catalog(
        *(a_tool(f"tool_{number}", description=f"does thing {number}") for number in range(count))
    )


@asynccontextmanager
async def running(
    url: str, path: Path | None = None, *, query_timeout_s: float = 5.0
) -> AsyncGenerator[EmbedRelevance]:
    async with Store.open(path) as store, anyio.create_task_group() as tasks:
        relevance = EmbedRelevance(
            OllamaProvider(url), store, query_timeout_s=query_timeout_s, jitter=lambda: 0.0
        )
        tasks.start_soon(relevance.run)
        yield relevance
        tasks.cancel_scope.cancel()


@pytest.fixture
async def server() -> AsyncIterator[OllamaServer]:
    async with OllamaServer().running() as started:
        yield started


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


REFUSED = "Ollama refused the connection. Start it: `ollama serve`."


async def test_without_ollama_the_reason_says_what_to_do() -> None:
    async with running(refusing_url()) as relevance:
        relevance.prepare(CATALOG)
        assert await relevance.settled() == REFUSED
        found = await relevance.scores(TASK, "", CATALOG, 1.0)
    assert found.scores is None
    assert found.reason == REFUSED


async def test_without_a_model_the_reason_says_which_to_pull(server: OllamaServer) -> None:
    server.models = []
    async with running(server.url) as relevance:
        relevance.prepare(CATALOG)
        assert "ollama pull all-minilm" in await relevance.settled()


HTML = "<html>Sign in</html>"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (answer(200, HTML, "text/html"), "can't be read"),
        (answer(200, '{"embeddings": [[0.1, '), "can't be read"),
        (break_off(), "can't be read"),
        (answer(500, '{"error": "runner terminated"}'), "500: runner terminated"),
        (answer(404, '{"error": "model \\"m\\" not found"}'), "ollama pull"),
        (never, "within 0.2 s"),
    ],
)
async def test_a_query_that_fails_falls_back_with_its_reason_and_within_its_time(
    server: OllamaServer, fault: Fault, said: str
) -> None:
    async with running(server.url, query_timeout_s=0.2) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
        server.traffic.faults["/api/embed"] = fault
        with capture_logs() as logs:
            started = time.perf_counter()
            found = await relevance.scores(TASK, "", CATALOG, 10.0)
            elapsed_s = time.perf_counter() - started
    assert found.scores is None
    assert said in found.reason
    assert elapsed_s < 0.4
    assert [entry["event"] for entry in logs].count("relevance_fallback") == 1


@pytest.mark.parametrize("spoil", [fewer, shorter, not_numbers, zeros])
async def test_unusable_vectors_of_a_query_fall_back_and_are_not_remembered(
    server: OllamaServer, spoil: Callable[[Vectors], Vectors]
) -> None:
    async with running(server.url) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
        right = (await relevance.scores(TASK, "", CATALOG, 10.0)).scores
        server.spoil = spoil
        assert (await relevance.scores("another task", "", CATALOG, 10.0)).scores is None
        server.spoil = None
        assert await relevance.settled() == ""
        again = (await relevance.scores("another task", "", CATALOG, 10.0)).scores
        assert again is not None
        assert right is not None
        assert again.tolist() != right.tolist()


async def test_a_hanging_ollama_costs_its_limit_once_and_then_nothing(server: OllamaServer) -> None:
    limit_s = 0.1
    costs: list[float] = []
    after: list[float] = []
    for _ in range(3):
        server.hold = None
        async with running(server.url, query_timeout_s=limit_s) as relevance:
            relevance.prepare(CATALOG)
            await relevance.settled()
            server.hold = anyio.Event()
            for times in (costs, after):
                started = time.perf_counter()
                found = await relevance.scores(TASK, "", CATALOG, 10.0)
                times.append(time.perf_counter() - started)
                assert found.scores is None
                assert "within 0.1 s" in found.reason
    # The least of three: the machine may be busy with something else.
    assert limit_s <= min(costs) < limit_s + 0.010
    assert min(after) < 0.002


async def test_a_request_without_time_left_does_not_blame_ollama(server: OllamaServer) -> None:
    async with running(server.url) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
        found = await relevance.scores(TASK, "", CATALOG, 0.0)
        assert found.reason == "no time was left to embed the task"
        assert (await relevance.scores(TASK, "", CATALOG, 10.0)).scores is not None


async def test_a_known_query_is_answered_even_while_ollama_is_down() -> None:
    server = OllamaServer()
    async with server.running():
        relevance_url = server.url
        async with running(relevance_url) as relevance:
            relevance.prepare(CATALOG)
            await relevance.settled()
            await relevance.scores(TASK, "", CATALOG, 10.0)
            server.traffic.faults["*"] = answer(503, "{}")
            assert (await relevance.scores("another", "", CATALOG, 10.0)).scores is None
            assert (await relevance.scores(TASK, "", CATALOG, 10.0)).scores is not None


async def test_an_ollama_that_is_started_later_is_used() -> None:
    server = OllamaServer()
    async with server.running():
        pass
    async with running(server.url) as relevance:
        relevance.prepare(CATALOG)
        assert await relevance.settled() == REFUSED
        async with server.running():
            relevance.prepare(CATALOG)
            assert await relevance.settled() == ""
            assert (await relevance.scores(TASK, "", CATALOG, 10.0)).scores is not None


async def test_an_ollama_that_was_restarted_is_used_again(server: OllamaServer) -> None:
    async with running(server.url) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
        server.traffic.faults["*"] = answer(500, '{"error": "runner terminated"}')
        assert (await relevance.scores(TASK, "", CATALOG, 10.0)).scores is None
        server.traffic.faults.clear()
        with capture_logs() as logs:
            assert await relevance.settled() == ""
        assert (await relevance.scores(TASK, "", CATALOG, 10.0)).scores is not None
    assert "relevance_recovered" in [entry["event"] for entry in logs]


async def test_an_ollama_that_stays_too_slow_is_not_tried_by_requests(server: OllamaServer) -> None:
    async with running(server.url, query_timeout_s=0.0) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
        asked = len(server.embedded)
        assert (
            await relevance.scores(TASK, "", CATALOG, 10.0)
        ).reason == f"Ollama at {server.url} did not embed the task within 0 s."
        await relevance.settled()
        assert relevance.reason == f"Ollama at {server.url} did not embed the task within 0 s."
        assert (await relevance.scores(TASK, "", CATALOG, 10.0)).scores is None
        assert not any("Tokyo" in text for text in server.embedded[asked:])


async def test_a_text_that_can_not_be_embedded_costs_only_its_own_tool(server: OllamaServer) -> None:
    server.poison = {"thing 7", "tool 7"}
    catalog = many(20)
    async with running(server.url) as relevance:
        relevance.prepare(catalog)
        assert await relevance.settled() == ""
        scores = (await relevance.scores("does thing 8", "", catalog, 10.0)).scores
    assert scores is not None
    assert scores[7] == 0.0
    assert int(scores.argmax()) == 8


async def test_a_model_with_other_weights_gets_vectors_of_its_own(
    server: OllamaServer, tmp_path: Path
) -> None:
    path = tmp_path / "store.sqlite3"
    async with running(server.url, path) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
    server.models = [Model("all-minilm:latest", dimension=64, weights="2")]
    async with running(server.url, path) as relevance:
        relevance.prepare(CATALOG)
        assert await relevance.settled() == ""
        found = await relevance.scores(TASK, "", CATALOG, 10.0)
    assert found.scores is not None
    assert int(found.scores.argmax()) == 1


async def test_a_store_that_can_not_be_written_only_costs_time(server: OllamaServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    async with running(server.url, tmp_path / "file" / "store.sqlite3") as relevance:
        relevance.prepare(CATALOG)
        assert await relevance.settled() == ""
        assert (await relevance.scores(TASK, "", CATALOG, 10.0)).scores is not None


async def test_cancelling_a_request_is_no_trouble(server: OllamaServer) -> None:
    async with running(server.url) as relevance:
        relevance.prepare(CATALOG)
        await relevance.settled()
        server.hold, server.embedding = anyio.Event(), anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relevance.scores, TASK, "", CATALOG, 10.0)
            await server.embedding.wait()
            tasks.cancel_scope.cancel()
        server.hold.set()
        assert relevance.reason == ""
        assert (await relevance.scores(TASK, "", CATALOG, 10.0)).scores is not None
