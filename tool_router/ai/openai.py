"""Embeddings and judgements from an endpoint that speaks OpenAI's protocol, with the user's own key."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from anyio import to_thread
from pydantic import SecretStr

from tool_router.ai.key import KeySource
from tool_router.ai.labels import label_probabilities
from tool_router.ai.openai_answer import first_token, model_names, text, vectors
from tool_router.ai.openai_body import Body, choosing, completing, without_refused
from tool_router.ai.provider import ChatModel, EmbeddingModel, Prompt, Vectors
from tool_router.ai.structured import json_answer
from tool_router.errors import ProviderError

if TYPE_CHECKING:
    from tool_router.ai.openai_http import OpenAIHttp

_MOST_CHANGES = 5
"""How often one request is changed to an endpoint's liking."""


class OpenAIProvider:
    """A `RelevanceProvider` on one endpoint.

    Args:
        kind: what it is called: a vendor, or ``compatible``.
        url: its base, up to and with ``/v1``.
        model: the embedding model; empty takes the only listed one whose name says that it embeds.
        chat_model: the chat model; empty takes the only listed other one. A choice among several, which may
            cost money, is never made for a person.
        key: where the key is.
        environ: the environment for it; the process's own by default.
    """

    def __init__(
        self,
        kind: str,
        url: str,
        model: str = "",
        chat_model: str = "",
        key: KeySource | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._kind = kind
        self._url = url
        self._model = model.strip()
        self._chat_model = chat_model.strip()
        source, variables = key or KeySource(), os.environ if environ is None else environ
        # Read when it is needed, and held by nothing that could be printed.
        self._read_key = lambda: source.read(variables)
        self._http: OpenAIHttp | None = None
        self._learned: dict[tuple[str, str], Body] = {}

    @property
    def name(self) -> str:
        """Which endpoint it is."""
        return self._kind if self._kind != "compatible" else f"the endpoint {_host(self._url)}"

    async def embedding_model(self) -> EmbeddingModel:
        """The configured model, or the only listed one that embeds.

        Raises:
            ProviderError: it is not clear which, or the endpoint can't be asked.
        """
        name = self._model or await self._only("embedding", "model", embeds=True)
        return EmbeddingModel(name, f"{name}@{_host(self._url)}")

    async def chat_model(self) -> ChatModel:
        """The configured chat model, or the only listed one that does not embed.

        Raises:
            ProviderError: it is not clear which, or the endpoint can't be asked.
        """
        name = self._chat_model or await self._only("chat", "chat_model", embeds=False)
        return ChatModel(name, f"{name}@{_host(self._url)}")

    async def embed(self, texts: Sequence[str], model: EmbeddingModel) -> Vectors:
        """One vector for each text.

        Raises:
            ProviderError: refused, timeout, no_key, model_missing, malformed or http_<status>.
        """
        http = await self._opened()
        body = {"model": model.name, "input": list(texts), "encoding_format": "float"}
        return vectors(await http.post("embeddings", body), len(texts))

    async def warm(self, model: ChatModel) -> None:
        """Nothing: the endpoint has its models loaded, and a request to see that costs money.

        Raises:
            ProviderError: the client can't be set up, or there is no key.
        """
        await self._opened()

    async def choose(self, prompt: Prompt, labels: Sequence[str], model: ChatModel) -> Mapping[str, float]:
        """The probability of each label as the first token of the answer.

        Raises:
            ProviderError: unsupported without log probabilities; else as `embed`.
        """
        body = self._learned.get(("choose", model.name), {})
        if body and "logprobs" not in body:
            raise ProviderError("unsupported", f"{model.name} gives no log probabilities.")
        answer = await self._chat("choose", choosing(prompt, model.name))
        return label_probabilities(first_token(answer), labels)

    async def complete(self, prompt: Prompt, schema: Mapping[str, Any], model: ChatModel) -> Any:
        """The answer as JSON that was asked to satisfy a schema.

        Raises:
            ProviderError: as `embed`.
        """
        return json_answer(text(await self._chat("complete", completing(prompt, schema, model.name))))

    async def aclose(self) -> None:
        """Close the connections."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _chat(self, use: str, body: Body) -> Any:
        """Send a chat request, without what the endpoint refuses; what it refused is remembered."""
        from tool_router.ai.openai_http import Refused

        http = await self._opened()
        key = (use, cast("str", body["model"]))
        body = _like(body, self._learned.get(key))
        for _ in range(_MOST_CHANGES):
            try:
                answer = await http.post("chat/completions", body)
            except Refused as error:
                changed = without_refused(body, error.said)
                if changed is None:
                    raise
                body = changed
                if use == "choose" and "logprobs" not in body:
                    self._learned[key] = _form(body)
                    raise ProviderError(
                        "unsupported", f"{body['model']} gives no log probabilities."
                    ) from error
            else:
                self._learned[key] = _form(body)
                return answer
        raise ProviderError("malformed", f"{self.name} refuses every form of the request.")

    async def _only(self, use: str, setting: str, *, embeds: bool) -> str:
        http = await self._opened()
        names = model_names(await http.get("models"))
        fitting = [name for name in names if ("embed" in name.casefold()) is embeds]
        if len(fitting) == 1:
            return fitting[0]
        found = f"{len(fitting)} could be meant" if fitting else "it lists none"
        raise ProviderError(
            "model_missing",
            f"No {use} model of {self.name} is configured, and {found}.",
            f"Set {setting} of that provider.",
        )

    async def _opened(self) -> OpenAIHttp:
        if self._http is None:
            http = await to_thread.run_sync(_open, self._url, self._read_key, abandon_on_cancel=True)
            self._http = self._http or http
        return self._http


_FORM = ("max_tokens", "max_completion_tokens", "temperature", "logprobs", "top_logprobs", "response_format")


def _form(body: Body) -> Body:
    """What of a request does not depend on what is asked."""
    return {name: value for name, value in body.items() if name in _FORM}


def _like(body: Body, learned: Body | None) -> Body:
    """The request in the form that was last accepted; the schema is its own."""
    if learned is None:
        return body
    form = dict(learned)
    if form.get("response_format", {}).get("type") == "json_schema":
        form["response_format"] = body["response_format"]
    return {**{name: value for name, value in body.items() if name not in _FORM}, **form}


def _host(url: str) -> str:
    """Host and port of an address, without user and password."""
    return url.partition("//")[2].partition("/")[0].rpartition("@")[2]


def _open(url: str, read_key: Callable[[], SecretStr]) -> OpenAIHttp:
    key = read_key()
    try:
        from tool_router.ai.openai_http import OpenAIHttp

        return OpenAIHttp(url, key)
    except (ImportError, ValueError) as error:
        raise ProviderError(
            "unusable",
            f"The client for {_host(url)} can't be set up ({type(error).__name__}).",
            "Check its url.",
        ) from None
