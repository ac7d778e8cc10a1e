from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from tests.support.loopback import answer, refusing_url
from tests.support.ollama_server import Model, OllamaServer, chat_model, fewer
from tests.support.openai_server import OpenAIServer
from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.ai.judge_prompt import ballot
from tool_router.ai.ollama import OllamaProvider
from tool_router.ai.openai import OpenAIProvider
from tool_router.ai.pool import ProviderPool
from tool_router.ai.relevance import EmbedRelevance
from tool_router.cache.store import Store
from tool_router.errors import ProviderError

pytestmark = pytest.mark.anyio

TOOLS = (a_tool("read_file", "files", "Read a file"), a_tool("create_issue", "github", "Open a new issue"))
BALLOT = ballot("open an issue", "", TOOLS)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def hosts() -> AsyncGenerator[tuple[OllamaServer, OllamaServer]]:
    models = [Model("all-minilm:latest"), chat_model()]
    async with (
        OllamaServer(models=[*models]).running() as one,
        OllamaServer(models=[*models]).running() as two,
    ):
        yield one, two


def pool_of(*servers: OllamaServer, clock: Clock | None = None) -> ProviderPool:
    providers = [OllamaProvider(server.url) for server in servers]
    return ProviderPool(providers, clock=clock or Clock(), jitter=lambda: 1.0)


async def test_the_preferred_host_answers_while_it_works() -> None:
    async with hosts() as (one, two):
        pool = pool_of(one, two)
        model = await pool.embedding_model()
        for _ in range(3):
            await pool.embed(["a"], model)
        assert (len(one.embedded), len(two.embedded)) == (3, 0)
        await pool.aclose()


@pytest.mark.parametrize("how", ["refuses", "fails", "garbage", "wrong vectors", "pulled away"])
async def test_where_the_first_fails_the_next_answers_the_same_request_and_then_at_once(how: str) -> None:
    async with hosts() as (one, two):
        pool = pool_of(one, two)
        model = await pool.embedding_model()
        match how:
            case "fails":
                one.traffic.faults["/api/embed"] = answer(500, '{"error": "runner terminated"}')
            case "garbage":
                one.traffic.faults["/api/embed"] = answer(200, "<html>", "text/html")
            case "wrong vectors":
                one.spoil = fewer
            case "pulled away":
                one.models = []
            case _:
                one.traffic.faults["/api/embed"] = answer(502, "")
        for _ in range(2):
            assert (await pool.embed(["a"], model)).shape == (1, 256)
        assert len(two.embedded) == 2
        assert len(one.traffic.arrived("/api/embed")) == 1
        await pool.aclose()


@pytest.mark.alone
async def test_a_hanging_host_takes_only_its_share_of_the_time() -> None:
    async with hosts() as (one, two):
        pool = pool_of(one, two)
        model = await pool.embedding_model()
        await pool.embed(["warm"], model)
        one.hold = anyio.Event()
        started = time.perf_counter()
        with anyio.fail_after(1.0):
            assert (await pool.embed(["a"], model)).shape == (1, 256)
        assert 0.4 < time.perf_counter() - started < 0.9
        with anyio.fail_after(1.0):
            await pool.embed(["b"], model)
        assert one.embedded.count("b") == 0
        await pool.aclose()


async def test_a_host_that_rested_is_tried_again_and_mended() -> None:
    clock = Clock()
    async with hosts() as (one, two):
        pool = pool_of(one, two, clock=clock)
        model = await pool.embedding_model()
        one.traffic.faults["/api/embed"] = answer(503, "{}")
        await pool.embed(["a"], model)
        one.traffic.faults.clear()
        await pool.embed(["b"], model)
        assert "b" not in one.embedded
        clock.now += 60
        await pool.embed(["c"], model)
        assert "c" in one.embedded
        assert "c" not in two.embedded
        await pool.aclose()


async def test_vectors_never_come_from_other_weights() -> None:
    async with hosts() as (one, two):
        two.models = [Model("all-minilm:latest", weights="2")]
        pool = pool_of(one, two)
        model = await pool.embedding_model()
        one.traffic.faults["/api/embed"] = answer(500, "{}")
        with pytest.raises(ProviderError) as caught:
            await pool.embed(["a"], model)
        assert caught.value.reason == "http_500"
        assert two.embedded == []
        # The background asks anew, and is given the model that works.
        other = await pool.embedding_model()
        assert other.key != model.key
        assert (await pool.embed(["a"], other)).shape == (1, 256)
        await pool.aclose()


async def test_when_every_host_rests_they_are_asked_all_the_same() -> None:
    async with hosts() as (one, two):
        pool = pool_of(one, two)
        model = await pool.embedding_model()
        for server in (one, two):
            server.traffic.faults["/api/embed"] = answer(500, "{}")
        with pytest.raises(ProviderError):
            await pool.embed(["a"], model)
        two.traffic.faults.clear()
        assert (await pool.embed(["b"], model)).shape == (1, 256)
        await pool.aclose()


async def test_without_any_working_host_the_error_names_each() -> None:
    pool = ProviderPool([OllamaProvider(refusing_url()), OpenAIProvider("xai", f"{refusing_url()}/v1")])
    with pytest.raises(ProviderError) as caught:
        await pool.chat_model()
    assert caught.value.reason == "refused"
    assert "Ollama at" in str(caught.value)
    assert "xai" in str(caught.value)
    await pool.aclose()


async def test_chat_models_of_different_vendors_stand_in_for_each_other() -> None:
    async with hosts() as (one, _), OpenAIServer().running() as endpoint:
        pool = ProviderPool(
            [OllamaProvider(one.url), OpenAIProvider("compatible", endpoint.url)],
            clock=Clock(),
            jitter=lambda: 1.0,
        )
        model = await pool.chat_model()
        assert model.loads
        await pool.warm(model)
        one.traffic.faults["/api/chat"] = answer(500, "{}")
        chances = await pool.choose(BALLOT.prompt, BALLOT.labels, model)
        assert sum(chances.values()) == pytest.approx(1.0)
        assert len(endpoint.traffic.arrived("/v1/chat/completions")) == 1
        await pool.aclose()


async def test_to_lack_log_probabilities_is_no_trouble() -> None:
    async with hosts() as (one, two):
        one.logprobs = False
        pool = pool_of(one, two)
        model = await pool.chat_model()
        with pytest.raises(ProviderError) as caught:
            await pool.choose(BALLOT.prompt, BALLOT.labels, model)
        assert caught.value.reason == "unsupported"
        await pool.complete(BALLOT.scores_prompt, BALLOT.schema, model)
        assert two.traffic.arrived("/api/chat") == []
        await pool.aclose()


async def test_a_catalog_is_ranked_on_while_the_preferred_host_is_down_and_returns_to_it() -> None:
    catalog = a_catalog(*TOOLS)
    async with hosts() as (one, two), Store.open(None) as store, anyio.create_task_group() as tasks:
        two.models = [Model("bge-m3:latest", dimension=64)]
        one.traffic.faults["*"] = answer(503, "{}")
        pool = ProviderPool([OllamaProvider(one.url), OllamaProvider(two.url)], jitter=lambda: 0.0)
        relevance = EmbedRelevance(pool, store, query_timeout_s=5.0, recheck_s=0.05, jitter=lambda: 0.0)
        tasks.start_soon(relevance.run)
        relevance.prepare(catalog)
        assert await relevance.settled() == ""
        assert (await relevance.scores("open an issue", "", catalog, 5.0)).scores is not None
        assert one.embedded == []
        one.traffic.faults.clear()
        one.embedding = anyio.Event()
        with anyio.fail_after(10):
            await one.embedding.wait()
            while not any("issue" in text and "Open" not in text for text in one.embedded):
                found = await relevance.scores("open an issue", "", catalog, 5.0)
                assert found.scores is not None
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
