from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from tests.support.loopback import Fault, answer, break_off, never, refusing_url
from tests.support.ollama_server import Vectors, empty, fewer, not_numbers, ragged
from tests.support.openai_server import OpenAIServer
from tests.unit.catalog.samples import a_tool
from tool_router.ai.judge_answer import read_scores
from tool_router.ai.judge_prompt import ballot
from tool_router.ai.key import KeySource
from tool_router.ai.openai import OpenAIProvider
from tool_router.ai.provider import ChatModel, EmbeddingModel
from tool_router.errors import ProviderError

pytestmark = pytest.mark.anyio

KEY = "sk-test-0123456789abcdefghij"
ENVIRON = {"MY_KEY": KEY}
EMBEDS = EmbeddingModel("text-embedding-small", "key")
CHATS = ChatModel("chat-small", "key")
TOOLS = (
    a_tool("read_file", "files", "Read the whole content of a file from disk"),
    a_tool("create_issue", "github", "Open a new issue in a repository"),
)
BALLOT = ballot("open an issue in the repository", "", TOOLS)
RIGHT = BALLOT.labels[BALLOT.order.index(1)]


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(key=KEY).running() as running:
        yield running


@pytest.fixture
async def provider(server: OpenAIServer) -> AsyncIterator[OpenAIProvider]:
    opened = OpenAIProvider("compatible", server.url, key=KeySource("MY_KEY"), environ=ENVIRON)
    yield opened
    await opened.aclose()


async def test_the_only_model_for_a_use_is_found_in_the_list(provider: OpenAIProvider) -> None:
    assert (await provider.embedding_model()).name == "text-embedding-small"
    chat = await provider.chat_model()
    assert (chat.name, chat.loads) == ("chat-small", False)


async def test_a_choice_among_several_models_is_left_to_the_person(
    server: OpenAIServer, provider: OpenAIProvider
) -> None:
    server.models = ["chat-small", "chat-large"]
    with pytest.raises(ProviderError, match=r"2 could be meant\. Set chat_model") as caught:
        await provider.chat_model()
    with pytest.raises(ProviderError, match=r"it lists none\. Set model"):
        await provider.embedding_model()
    assert caught.value.reason == "model_missing"


async def test_vectors_come_in_the_order_of_the_texts(provider: OpenAIProvider) -> None:
    vectors = await provider.embed(["read a file", "reading files", "weather in Oslo"], EMBEDS)
    assert vectors.shape == (3, 256)
    assert vectors.dtype.name == "float32"
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1


async def test_the_likeliest_label_is_the_right_one(server: OpenAIServer, provider: OpenAIProvider) -> None:
    chances = await provider.choose(BALLOT.prompt, BALLOT.labels, CHATS)
    assert max(chances, key=lambda label: chances[label]) == RIGHT
    assert sum(chances.values()) == pytest.approx(1.0)
    asked = server.traffic.arrived("/v1/chat/completions")[0].message
    assert (asked["max_tokens"], asked["logprobs"], asked["temperature"]) == (1, True, 0)


async def test_what_an_endpoint_refuses_is_left_out_and_that_is_remembered(
    server: OpenAIServer, provider: OpenAIProvider
) -> None:
    server.refuses = {
        "max_tokens": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        "temperature": "Unsupported value: 'temperature' does not support 0 with this model.",
    }
    for _ in range(2):
        assert (await provider.choose(BALLOT.prompt, BALLOT.labels, CHATS))[RIGHT] > 0.5
    asked = [request.message for request in server.traffic.arrived("/v1/chat/completions")]
    assert len(asked) == 4
    assert {"max_tokens", "temperature"}.isdisjoint(asked[-1])
    assert asked[-1]["max_completion_tokens"] == 1


@pytest.mark.parametrize("how", ["silent", "refused"])
async def test_without_log_probabilities_choosing_is_unsupported_and_scores_are_given(
    server: OpenAIServer, provider: OpenAIProvider, how: str
) -> None:
    server.logprobs = False
    if how == "refused":
        server.refuses = {"logprobs": "'logprobs' is not supported with this model."}
    for _ in range(2):
        with pytest.raises(ProviderError) as caught:
            await provider.choose(BALLOT.prompt, BALLOT.labels, CHATS)
        assert caught.value.reason == "unsupported"
    scores = read_scores(BALLOT, await provider.complete(BALLOT.scores_prompt, BALLOT.schema, CHATS))
    assert max(scores, key=lambda label: scores[label]) == RIGHT


async def test_json_is_read_from_an_endpoint_that_ignores_or_refuses_the_schema(
    server: OpenAIServer, provider: OpenAIProvider
) -> None:
    server.keeps_schema = False
    server.refuses = {"response_format": "response_format is not supported"}
    scores = read_scores(BALLOT, await provider.complete(BALLOT.scores_prompt, BALLOT.schema, CHATS))
    assert scores[RIGHT] > 0.5


async def test_the_key_of_a_file_is_used(server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"  {KEY}\n")
    provider = OpenAIProvider(
        "openai", server.url, "text-embedding-small", key=KeySource("", tmp_path / "key")
    )
    assert (await provider.embed(["a"], EMBEDS)).shape == (1, 256)
    await provider.aclose()


@pytest.mark.parametrize(
    ("environ", "said"),
    [({}, "holds no key"), ({"MY_KEY": "  "}, "holds no key"), ({"MY_KEY": "sk-a\nX-Evil: 1"}, "no key has")],
)
async def test_a_key_that_is_missing_or_can_not_be_sent_is_named_by_its_place(
    server: OpenAIServer, environ: dict[str, str], said: str
) -> None:
    provider = OpenAIProvider("openai", server.url, key=KeySource("MY_KEY"), environ=environ)
    with pytest.raises(ProviderError, match=said) as caught:
        await provider.chat_model()
    assert caught.value.reason == "no_key"
    assert "MY_KEY" in str(caught.value)
    assert "Evil" not in str(caught.value)
    assert server.traffic.seen == []


async def test_a_key_file_that_is_not_there_is_named(server: OpenAIServer, tmp_path: Path) -> None:
    provider = OpenAIProvider("openai", server.url, key=KeySource("", tmp_path / "absent"))
    with pytest.raises(ProviderError, match="absent can't be read") as caught:
        await provider.chat_model()
    assert caught.value.reason == "no_key"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500])
async def test_the_key_is_in_no_error_no_log_and_no_repr(
    server: OpenAIServer, provider: OpenAIProvider, status: int
) -> None:
    said = (
        f'{{"error": {{"message": "Incorrect API key provided: {KEY}. model logprobs", "param": "{KEY}"}}}}'
    )
    server.traffic.faults["*"] = answer(status, said)
    with capture_logs() as logs:
        for call in (
            provider.chat_model,
            lambda: provider.embed(["a"], EMBEDS),
            lambda: provider.complete(BALLOT.prompt, {}, CHATS),
        ):
            with pytest.raises(ProviderError) as caught:
                await call()
            shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
            assert KEY not in shown
    assert KEY not in repr(provider) + repr(vars(provider)) + str(logs)


async def test_a_wrong_key_says_so(server: OpenAIServer) -> None:
    provider = OpenAIProvider("xai", server.url, key=KeySource("K"), environ={"K": "sk-wrong-0123456789"})
    with pytest.raises(ProviderError, match="Check the key") as caught:
        await provider.chat_model()
    assert caught.value.reason == "http_401"
    assert "sk-wrong" not in str(caught.value)
    await provider.aclose()


HTML = "<html><body>Sign in to the hotel's network</body></html>"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (answer(200, HTML, "text/html"), "malformed"),
        (answer(200, '{"data": [{"embedding": [0.1, 0.'), "malformed"),
        (answer(200, "[1, 2]"), "malformed"),
        (answer(200, "null"), "malformed"),
        (answer(200, "{}"), "malformed"),
        (answer(200, b"\xff\xfe\x00"), "malformed"),
        (answer(200, ""), "malformed"),
        (break_off(), "malformed"),
        (answer(302, "", headers={"location": "http://elsewhere.example/"}), "http_302"),
        (answer(429, '{"error": {"message": "Rate limit reached"}}'), "http_429"),
        (answer(500, HTML, "text/html"), "http_500"),
        (answer(400, '[{"error": {"message": "API key not valid", "code": 400}}]'), "http_400"),
        (answer(404, '{"error": {"message": "The model `x` does not exist"}}'), "model_missing"),
        (answer(404, "404 page not found", "text/plain"), "http_404"),
    ],
)
async def test_every_bad_answer_is_a_provider_error_with_its_reason(
    server: OpenAIServer, provider: OpenAIProvider, fault: Fault, reason: str
) -> None:
    server.traffic.faults["*"] = fault
    calls = (
        provider.chat_model,
        lambda: provider.embed(["a"], EMBEDS),
        lambda: provider.choose(BALLOT.prompt, BALLOT.labels, CHATS),
        lambda: provider.complete(BALLOT.prompt, BALLOT.schema, CHATS),
    )
    for call in calls:
        with pytest.raises(ProviderError) as caught:
            await call()
        assert caught.value.reason == reason
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("spoil", [fewer, ragged, not_numbers, empty])
async def test_unusable_vectors_are_malformed(
    server: OpenAIServer, provider: OpenAIProvider, spoil: Callable[[Vectors], Vectors]
) -> None:
    server.spoil = spoil
    with pytest.raises(ProviderError) as caught:
        await provider.embed(["one text", "another"], EMBEDS)
    assert caught.value.reason == "malformed"


async def test_a_closed_port_is_refused_and_an_address_without_a_host_unusable() -> None:
    provider = OpenAIProvider("compatible", f"{refusing_url()}/v1")
    with pytest.raises(ProviderError) as caught:
        await provider.chat_model()
    assert caught.value.reason == "refused"
    await provider.aclose()
    with pytest.raises(ProviderError) as caught:
        await OpenAIProvider("compatible", "http://").chat_model()
    assert caught.value.reason == "unusable"


async def test_a_hanging_endpoint_is_left_when_the_caller_gives_up(
    server: OpenAIServer, provider: OpenAIProvider
) -> None:
    await provider.chat_model()
    server.traffic.faults["*"] = never
    with anyio.move_on_after(0.05) as scope:
        await provider.embed(["a"], EMBEDS)
    assert scope.cancelled_caught


async def test_no_key_is_sent_where_none_is_configured(server: OpenAIServer) -> None:
    server.key = ""
    provider = OpenAIProvider("compatible", server.url)
    await provider.chat_model()
    assert "authorization" not in server.traffic.seen[0].headers
    await provider.aclose()


async def test_user_and_password_of_an_address_are_in_no_name_and_no_key() -> None:
    provider = OpenAIProvider("compatible", "http://user:hidden@host.example/v1", "m", "c")
    assert (
        "hidden"
        not in provider.name + (await provider.embedding_model()).key + (await provider.chat_model()).key
    )
