from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.loopback import answer
from tests.support.ollama_server import Model, OllamaServer, chat_model
from tool_router.ai.hardware import GB, Hardware
from tool_router.ai.ollama import OllamaProvider
from tool_router.ai.provider import ChatModel, Prompt
from tool_router.errors import ProviderError

pytestmark = pytest.mark.anyio

ORDINARY = Hardware(16 * GB, 4)
TINY = chat_model()
EIGHT = chat_model("llama3.1:8b", size=4_900_000_000, parameter_size="8.0B")


@pytest.fixture
async def server() -> AsyncIterator[OllamaServer]:
    async with OllamaServer(models=[Model("all-minilm:latest"), TINY, EIGHT]).running() as running:
        yield running


@pytest.fixture
async def provider(server: OllamaServer) -> AsyncIterator[OllamaProvider]:
    opened = OllamaProvider(server.url, hardware=ORDINARY)
    yield opened
    await opened.aclose()


async def test_an_ordinary_machine_takes_the_chat_model_it_can_carry(provider: OllamaProvider) -> None:
    model = await provider.chat_model()
    assert (model.name, model.loads) == ("qwen2.5:0.5b", True)


async def test_a_gpu_that_the_host_reports_carries_the_larger_one(
    server: OllamaServer, provider: OllamaProvider
) -> None:
    server.models.append(Model("nomic-embed-text:latest", vram=6 * GB))
    server.loaded.add("nomic-embed-text:latest")
    assert (await provider.chat_model()).name == "llama3.1:8b"
    assert "GPU with at least 6.0 GB" in str((await provider.report()).hardware)


async def test_a_host_without_a_list_of_loaded_models_has_no_known_gpu(
    server: OllamaServer, provider: OllamaProvider
) -> None:
    server.traffic.faults["/api/ps"] = answer(404, "404 page not found", "text/plain")
    assert (await provider.chat_model()).name == "qwen2.5:0.5b"


async def test_a_configured_chat_model_is_taken_whatever_the_hardware(server: OllamaServer) -> None:
    provider = OllamaProvider(server.url, chat_model="llama3.1:8b", hardware=ORDINARY)
    assert (await provider.chat_model()).name == "llama3.1:8b"
    await provider.aclose()


async def test_a_chat_model_of_an_unknown_family_is_taken_when_the_host_says_that_it_completes(
    server: OllamaServer, provider: OllamaProvider
) -> None:
    server.models = [Model("all-minilm:latest"), chat_model("my-own:latest")]
    assert (await provider.chat_model()).name == "my-own:latest"
    asked = [request.message["model"] for request in server.traffic.arrived("/api/show")]
    assert asked == ["my-own:latest"]


async def test_the_report_says_what_is_used_why_and_what_would_be_better(
    server: OllamaServer, provider: OllamaProvider
) -> None:
    server.models = [Model("bge-m3:latest"), EIGHT]
    report = await provider.report()
    assert report.hardware == ORDINARY
    assert report.embedding.chosen is not None
    assert report.embedding.chosen.name == "bge-m3:latest"
    assert report.embedding.better == "ollama pull all-minilm"
    assert report.chat.chosen is None
    assert report.chat.rejected[0].name == "llama3.1:8b"
    assert "longer than 4 s" in report.chat.rejected[0].why
    assert report.chat.better == "ollama pull qwen2.5:0.5b"


async def test_an_embedding_model_does_not_chat(provider: OllamaProvider) -> None:
    minilm = ChatModel("all-minilm:latest", "key")
    for call in (
        lambda: provider.warm(minilm),
        lambda: provider.choose(Prompt("s", "u"), ("A", "B"), minilm),
        lambda: provider.complete(Prompt("s", "u"), {}, minilm),
    ):
        with pytest.raises(ProviderError) as caught:
            await call()
        assert caught.value.reason == "unsupported"
