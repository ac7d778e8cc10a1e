"""Embeddings where Ollama is missing, fails, hangs or changes: a reason, never an error."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from tests.integration.ai.embedding import CATALOG, TASK, many, running
from tests.support.loopback import Fault, answer, break_off, never, refusing_url
from tests.support.ollama_server import Model, OllamaServer, Vectors, fewer, not_numbers, shorter, zeros

pytestmark = pytest.mark.anyio


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


@pytest.mark.alone
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


@pytest.mark.alone
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
