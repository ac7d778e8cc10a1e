from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import anyio
import pytest

from tests.support.loopback import Fault, answer, break_off, never, refusing_url
from tests.support.ollama_server import (
    Model,
    OllamaServer,
    Vectors,
    empty,
    fewer,
    not_numbers,
    ragged,
)
from tool_router.ai.ollama import OllamaProvider
from tool_router.ai.provider import EmbeddingModel
from tool_router.errors import ProviderError

pytestmark = pytest.mark.anyio

MINILM = EmbeddingModel("all-minilm:latest", "key")


@pytest.fixture
async def provider(server: OllamaServer) -> AsyncIterator[OllamaProvider]:
    opened = OllamaProvider(server.url)
    yield opened
    await opened.aclose()


async def test_similar_texts_have_near_vectors(provider: OllamaProvider) -> None:
    model = await provider.embedding_model()
    vectors = await provider.embed(["read a file", "reading files", "weather in Oslo"], model)
    assert vectors.dtype.name == "float32"
    assert vectors.shape == (3, 256)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1


async def test_the_configured_model_is_used(server: OllamaServer) -> None:
    server.models.append(Model("bge-m3:latest", dimension=32))
    provider = OllamaProvider(server.url, "bge-m3")
    model = await provider.embedding_model()
    assert model.name == "bge-m3:latest"
    assert (await provider.embed(["a"], model)).shape == (1, 32)
    await provider.aclose()


async def test_a_configured_model_that_is_not_pulled_says_how_to_pull_it(server: OllamaServer) -> None:
    provider = OllamaProvider(server.url, "mxbai-embed-large")
    with pytest.raises(ProviderError, match="ollama pull mxbai-embed-large") as caught:
        await provider.embedding_model()
    assert caught.value.reason == "model_missing"
    await provider.aclose()


async def test_a_model_of_no_known_family_is_taken_when_it_says_that_it_embeds(
    server: OllamaServer, provider: OllamaProvider
) -> None:
    server.models = [
        Model("llama3.2:latest", capabilities=("completion", "tools")),
        Model("my-own:latest", capabilities=("embedding",)),
    ]
    assert (await provider.embedding_model()).name == "my-own:latest"


async def test_chat_models_alone_are_no_embedding_model(
    server: OllamaServer, provider: OllamaProvider
) -> None:
    server.models = [Model("llama3.2:latest", capabilities=("completion",))]
    with pytest.raises(ProviderError, match="ollama pull all-minilm") as caught:
        await provider.embedding_model()
    assert caught.value.reason == "model_missing"


async def test_a_model_pulled_anew_has_another_key(server: OllamaServer, provider: OllamaProvider) -> None:
    before = await provider.embedding_model()
    server.models = [Model("all-minilm:latest", weights="2")]
    after = await provider.embedding_model()
    assert before.name == after.name
    assert before.key != after.key


async def test_a_model_removed_in_between_is_missing(server: OllamaServer, provider: OllamaProvider) -> None:
    server.models = []
    with pytest.raises(ProviderError, match="Run `ollama pull all-minilm:latest`") as caught:
        await provider.embed(["a"], MINILM)
    assert caught.value.reason == "model_missing"


@pytest.mark.parametrize("spoil", [fewer, ragged, not_numbers, empty])
async def test_unusable_vectors_are_malformed(
    server: OllamaServer, provider: OllamaProvider, spoil: Callable[[Vectors], Vectors]
) -> None:
    server.spoil = spoil
    with pytest.raises(ProviderError) as caught:
        await provider.embed(["one text", "another"], MINILM)
    assert caught.value.reason == "malformed"


HTML = "<html><body>Sign in to the hotel's network</body></html>"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (answer(200, HTML, "text/html"), "malformed"),
        (answer(200, '{"model": "all-minilm", "embeddings": [[0.1, 0.'), "malformed"),
        (answer(200, "[1, 2]"), "malformed"),
        (answer(200, '"text"'), "malformed"),
        (answer(200, "null"), "malformed"),
        (answer(200, "{}"), "malformed"),
        (answer(200, b"\xff\xfe\x00"), "malformed"),
        (answer(200, ""), "malformed"),
        (answer(204, ""), "malformed"),
        (break_off(), "malformed"),
        (answer(500, '{"error": "llama runner process has terminated"}'), "http_500"),
        # The client itself fails on an error that is JSON but no object, and the status is lost.
        (answer(500, "[]"), "malformed"),
        (answer(500, '"text"'), "malformed"),
        (answer(500, '{"error": {"nested": 1}}'), "http_500"),
        (answer(502, HTML, "text/html"), "http_502"),
        (answer(503, '{"error": "server busy, please try again"}'), "http_503"),
        (answer(404, "404 page not found", "text/plain"), "http_404"),
        (answer(404, HTML, "text/html"), "http_404"),
        (answer(404, '{"error": "model \\"x\\" not found, try pulling it first"}'), "model_missing"),
        (answer(401, "{}"), "http_401"),
    ],
)
async def test_every_bad_answer_is_a_provider_error_with_its_reason(
    server: OllamaServer, provider: OllamaProvider, fault: Fault, reason: str
) -> None:
    server.traffic.faults["*"] = fault
    with pytest.raises(ProviderError) as listing:
        await provider.embedding_model()
    with pytest.raises(ProviderError) as embedding:
        await provider.embed(["a"], MINILM)
    assert (listing.value.reason, embedding.value.reason) == (reason, reason)
    assert len(str(embedding.value)) < 400


async def test_a_closed_port_is_refused() -> None:
    provider = OllamaProvider(refusing_url())
    with pytest.raises(ProviderError, match="ollama serve") as caught:
        await provider.embedding_model()
    assert caught.value.reason == "refused"
    await provider.aclose()


async def test_an_address_that_makes_no_sense_is_unusable() -> None:
    with pytest.raises(ProviderError) as caught:
        await OllamaProvider("http://[::1:99999999").embedding_model()
    assert caught.value.reason == "unusable"


async def test_a_hanging_host_is_left_when_the_caller_gives_up(
    server: OllamaServer, provider: OllamaProvider
) -> None:
    await provider.embedding_model()
    server.traffic.faults["/api/embed"] = never
    with anyio.move_on_after(0.05) as scope:
        await provider.embed(["a"], MINILM)
    assert scope.cancelled_caught


async def test_a_proxy_from_the_environment_is_not_used_for_this_machine(
    server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", refusing_url())
    monkeypatch.setenv("ALL_PROXY", refusing_url())
    provider = OllamaProvider(server.url)
    assert (await provider.embedding_model()).name == "all-minilm:latest"
    await provider.aclose()


async def test_a_closed_provider_opens_again(provider: OllamaProvider) -> None:
    await provider.embedding_model()
    await provider.aclose()
    assert (await provider.embedding_model()).name == "all-minilm:latest"
