from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
from anyio import to_thread
from pydantic import ValidationError

from tests.support.ollama_server import Model, OllamaServer, chat_model
from tests.support.openai_server import OpenAIServer
from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.ai.assembly import build_models, build_provider
from tool_router.ai.ollama import OllamaProvider
from tool_router.ai.openai import OpenAIProvider
from tool_router.ai.pool import ProviderPool
from tool_router.ai.report import check_models
from tool_router.ai.vendors import BASE_URLS
from tool_router.balance.strategies import STRATEGIES
from tool_router.cache.store import Store
from tool_router.config import ProviderSettings, Settings

pytestmark = pytest.mark.anyio

KEY = "sk-assembly-0123456789"


def settings(**sections: Any) -> Settings:
    return Settings.model_validate(sections)


@pytest.fixture
async def server() -> AsyncIterator[OllamaServer]:
    async with OllamaServer(models=[Model("all-minilm:latest"), chat_model()]).running() as running:
        yield running


@pytest.mark.parametrize(
    ("sections", "parts"),
    [
        ({}, ("relevance", "judge", "values", "chat")),
        ({"judge": {"enabled": False}}, ("relevance", "values", "chat")),
        ({"model_arguments": {"enabled": False}}, ("relevance", "judge", "chat")),
        ({"judge": {"enabled": False}, "model_arguments": {"enabled": False}}, ("relevance",)),
        ({"relevance": {"enabled": False}}, ("values", "chat")),
    ],
)
async def test_what_is_turned_off_is_not_there(sections: dict[str, Any], parts: tuple[str, ...]) -> None:
    async with Store.open(None) as store:
        models = build_models(settings(**sections), store, {})
    assert models is not None
    there = [name for name in ("relevance", "judge", "values", "chat") if getattr(models, name) is not None]
    assert there == list(parts)


async def test_with_everything_turned_off_there_is_nothing() -> None:
    off = settings(relevance={"enabled": False}, model_arguments={"enabled": False})
    async with Store.open(None) as store:
        assert build_models(off, store, {}) is None


async def test_turned_off_chat_models_are_never_asked_for(server: OllamaServer) -> None:
    off = settings(
        relevance={"host": server.url}, judge={"enabled": False}, model_arguments={"enabled": False}
    )
    async with Store.open(None) as store, anyio.create_task_group() as tasks:
        models = build_models(off, store, {})
        assert models is not None
        assert models.relevance is not None
        tasks.start_soon(models.run)
        models.relevance.prepare(a_catalog(a_tool("one")))
        assert await models.relevance.settled() == ""
        tasks.cancel_scope.cancel()
    assert server.traffic.arrived("/api/chat") == []


async def test_the_rungs_work_together_on_one_host(server: OllamaServer) -> None:
    tools = (
        a_tool("read_file", "files", "Read a file"),
        a_tool("create_issue", "github", "Open a new issue"),
    )
    catalog = a_catalog(*tools)
    async with Store.open(None) as store, anyio.create_task_group() as tasks:
        models = build_models(settings(relevance={"host": server.url, "timeout_s": 5}), store, {})
        assert models is not None
        assert models.relevance is not None
        assert models.judge is not None
        tasks.start_soon(models.run)
        models.relevance.prepare(catalog)
        assert await models.relevance.settled() == ""
        assert await models.judge.settled() == ""
        assert (await models.relevance.scores("open an issue", "", catalog, 5.0)).scores is not None
        found = await models.judge.judge("open a new issue", "", tools, 5.0)
        assert found.probabilities is not None
        assert found.probabilities[1] > found.probabilities[0]
        tasks.cancel_scope.cancel()


def test_one_host_needs_no_list_and_a_list_is_a_pool_in_its_order() -> None:
    assert isinstance(build_provider(settings(), {}), OllamaProvider)
    listed = [
        {"kind": "ollama", "url": "http://gpu-box:11434"},
        {"kind": "anthropic", "key_env": "A_KEY", "chat_model": "m"},
        {"kind": "compatible", "url": "http://localhost:8080/v1"},
    ]
    pool = build_provider(settings(relevance={"providers": listed}), {})
    assert isinstance(pool, ProviderPool)
    assert [type(provider) for provider in pool.providers] == [OllamaProvider, OpenAIProvider, OpenAIProvider]
    assert [provider.name for provider in pool.providers] == [
        "Ollama at http://gpu-box:11434",
        "anthropic",
        "the endpoint localhost:8080",
    ]


def test_what_the_settings_say_of_providers_is_what_the_balancer_knows_of_them() -> None:
    listed = [
        {"kind": "ollama", "url": "http://gpu-box:11434", "name": "gpu", "weight": 3, "capacity": 4},
        {
            "kind": "compatible",
            "url": "http://localhost:8080/v1",
            "price": 0.5,
            "quality": 0.9,
            "region": "eu",
        },
    ]
    pool = build_provider(settings(relevance={"providers": listed}), {})
    assert isinstance(pool, ProviderPool)
    assert pool.strategy == "preference"
    first, second = (one.spec for one in pool.targets() if one.use == "chat")
    assert (first.name, first.weight, first.capacity) == ("gpu", 3.0, 4)
    assert (first.price, first.quality, first.region) == (0.0, 0.5, "")
    assert (second.name, second.weight, second.capacity) == ("the endpoint localhost:8080", 1.0, 0)
    assert (second.price, second.quality, second.region) == (0.5, 0.9, "eu")


@pytest.mark.parametrize("strategy", ["preference", *STRATEGIES])
def test_providers_are_chosen_by_the_strategy_of_the_settings(strategy: str) -> None:
    listed = [{"kind": "ollama"}, {"kind": "ollama", "url": "http://gpu-box:11434"}]
    pool = build_provider(settings(relevance={"providers": listed, "strategy": strategy}), {})
    assert isinstance(pool, ProviderPool)
    assert pool.strategy == strategy


@pytest.mark.parametrize(
    "relevance",
    [
        {"strategy": "fastest"},
        {"providers": [{"capacity": -1}]},
        {"providers": [{"weight": 0}]},
        {"providers": [{"price": -1}]},
        {"providers": [{"quality": 1.5}]},
    ],
)
def test_a_strategy_or_figure_that_can_not_be_is_refused(relevance: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(relevance=relevance)


async def test_the_capacity_of_an_only_provider_counts_too(server: OllamaServer) -> None:
    pool = build_provider(settings(relevance={"providers": [{"url": server.url, "capacity": 1}]}), {})
    model = await pool.embedding_model()
    server.hold = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.embed, ["a"], model)
        await server.embedding.wait()
        with anyio.move_on_after(0.2) as waits:
            await pool.embed(["b"], model)
        assert waits.cancelled_caught
        server.hold.set()
    assert server.embedded == ["a"]
    await pool.aclose()


def test_every_vendor_has_an_address_and_nothing_else() -> None:
    kinds = set(get_args(ProviderSettings.model_fields["kind"].annotation)) - {"ollama", "compatible"}
    assert set(BASE_URLS) == kinds
    assert all(url.startswith("https://") for url in BASE_URLS.values())


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "compatible"},
        {"kind": "openai"},
        {"kind": "openai", "key_env": "K", "key_file": "k"},
        {"kind": "compatible", "url": "localhost:8080"},
        {"kind": "unheard"},
        {"kind": "openai", "key_env": "K", "key": "sk-in-the-file"},
    ],
)
def test_a_provider_that_can_not_be_is_refused_without_showing_its_values(entry: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(relevance={"providers": [entry]})
    assert "sk-in-the-file" not in str(caught.value)


async def test_what_is_used_of_each_provider_is_reported(server: OllamaServer) -> None:
    async with OpenAIServer(key=KEY).running() as endpoint:
        listed = [
            {"kind": "ollama", "url": server.url},
            {"kind": "compatible", "url": endpoint.url, "key_env": "MY_KEY"},
            {"kind": "xai", "key_env": "ABSENT", "chat_model": "m"},
        ]
        checked = await check_models(settings(relevance={"providers": listed}), {"MY_KEY": KEY}, 10.0)
    assert [(item.works, item.what.partition(", ")[2]) for item in checked] == [
        (True, "embedding model"),
        (True, "chat model"),
        (True, "embedding model"),
        (True, "chat model"),
        (False, "embedding model"),
        (False, "chat model"),
    ]
    assert checked[0].detail.startswith("all-minilm:latest: the fastest pulled family")
    assert checked[2].detail == "embeds with text-embedding-small"
    assert "ABSENT holds no key" in checked[4].detail
    assert KEY not in str(checked)


async def test_a_hanging_host_is_reported_in_time(server: OllamaServer) -> None:
    server.hold = anyio.Event()
    checked = await check_models(settings(relevance={"host": server.url}), {}, 0.3)
    assert [item.works for item in checked] == [False]
    assert "within 0.3 s" in checked[0].detail


async def test_doctor_shows_the_models_and_the_command_that_pulls_a_better_one(
    server: OllamaServer, tmp_path: Path
) -> None:
    server.models = [Model("bge-m3:latest")]
    (tmp_path / "router.yml").write_text(
        f"gateway:\n  kind: mcp\n  command: [{json.dumps(sys.executable)}, -c, pass]\n"
        f"relevance:\n  host: {server.url}\n"
    )
    command = [
        sys.executable,
        "-m",
        "tool_router",
        "doctor",
        "--json",
        "--config",
        str(tmp_path / "router.yml"),
    ]
    done = await to_thread.run_sync(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    )
    found = {item["what"]: item for item in json.loads(done.stdout)}
    embedding = found[f"Ollama at {server.url}, embedding model"]
    assert embedding["status"] == "ok"
    assert embedding["detail"].startswith("bge-m3:latest")
    assert embedding["next_step"] == "Better: `ollama pull all-minilm`."
    chat = found[f"Ollama at {server.url}, chat model"]
    assert chat["status"] == "warn"
    assert "ollama pull" in chat["next_step"]
