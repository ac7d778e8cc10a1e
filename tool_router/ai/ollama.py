"""Embeddings and judgements from an Ollama host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from tool_router.ai.hardware import Hardware, of_host, this_machine
from tool_router.ai.labels import label_probabilities
from tool_router.ai.models import (
    Choice,
    Pulled,
    Use,
    choose_chat,
    choose_embedding,
    described,
    undecided,
    weights_key,
)
from tool_router.ai.provider import ChatModel, EmbeddingModel, Prompt, Vectors
from tool_router.ai.structured import json_answer
from tool_router.errors import ProviderError

if TYPE_CHECKING:
    from tool_router.ai.ollama_http import OllamaHttp

_MOST_ASKED = 20
"""How many models of unknown families are asked what they can do."""

EMBED_LIMIT_S = 0.5
CHAT_LIMIT_S = 4.0


@dataclass(frozen=True, slots=True)
class Report:
    """What was found on a host, for people.

    Attributes:
        host: its address; empty is Ollama's own default.
    """

    host: str
    hardware: Hardware
    embedding: Choice
    chat: Choice


class OllamaProvider:
    """A `RelevanceProvider` on one Ollama host.

    Args:
        host: its address; empty is Ollama's own default.
        model: the embedding model; empty takes the one that suits the hardware among those that are pulled.
        chat_model: the chat model, likewise.
        embed_limit_s: how long a request waits for its vector.
        chat_limit_s: how long a request waits for a chat model.
        hardware: what this machine can carry; None asks the operating system.
    """

    def __init__(
        self,
        host: str = "",
        model: str = "",
        chat_model: str = "",
        *,
        embed_limit_s: float = EMBED_LIMIT_S,
        chat_limit_s: float = CHAT_LIMIT_S,
        hardware: Hardware | None = None,
    ) -> None:
        self._host = host
        self._wanted = model.strip()
        self._wanted_chat = chat_model.strip()
        self._embed_limit_s = embed_limit_s
        self._chat_limit_s = chat_limit_s
        self._hardware = hardware
        self._http: OllamaHttp | None = None

    @property
    def name(self) -> str:
        """Which host it is."""
        return f"Ollama at {self._host}" if self._host else "Ollama"

    async def embedding_model(self) -> EmbeddingModel:
        """The configured model, or the one that suits the hardware among those that are pulled.

        Raises:
            ProviderError: the host can't be asked (refused, timeout, ...), or has no such model.
        """
        http = await self._opened()
        choice = await self._chosen(http, Use.EMBEDDING, await http.pulled(), None)
        return described(_required(choice))

    async def chat_model(self) -> ChatModel:
        """The configured chat model, or the largest pulled one that the hardware can carry.

        Raises:
            ProviderError: the host can't be asked (refused, timeout, ...), or has no such model.
        """
        http = await self._opened()
        chosen = _required(await self._chosen(http, Use.CHAT, await http.pulled(), None))
        return ChatModel(chosen.name, weights_key(chosen), loads=True)

    async def embed(self, texts: Sequence[str], model: EmbeddingModel) -> Vectors:
        """One vector for each text.

        Raises:
            ProviderError: refused, timeout, model_missing, malformed or http_<status>.
        """
        http = await self._opened()
        return await http.embed(texts, model.name)

    async def warm(self, model: ChatModel) -> None:
        """Load a chat model.

        Raises:
            ProviderError: refused, timeout, model_missing, malformed or http_<status>.
        """
        http = await self._opened()
        await http.load(model.name)

    async def choose(self, prompt: Prompt, labels: Sequence[str], model: ChatModel) -> Mapping[str, float]:
        """The probability of each label as the first token of the answer.

        Raises:
            ProviderError: unsupported by an Ollama without log probabilities; malformed where the answer is
                none of the labels; else as `embed`.
        """
        http = await self._opened()
        return label_probabilities(await http.first_token(prompt, model.name), labels)

    async def complete(self, prompt: Prompt, schema: Mapping[str, Any], model: ChatModel) -> Any:
        """The answer as JSON; the host keeps it to the schema as far as its grammar can.

        Raises:
            ProviderError: malformed where the answer is no JSON; else as `embed`.
        """
        http = await self._opened()
        return json_answer(await http.structured(prompt, schema, model.name))

    async def report(self) -> Report:
        """What the host has, what it can carry and what follows for each use.

        Raises:
            ProviderError: the host can't be asked.
        """
        http = await self._opened()
        pulled = await http.pulled()
        hardware = await self._means(http)
        return Report(
            self._host,
            hardware,
            await self._chosen(http, Use.EMBEDDING, pulled, hardware),
            await self._chosen(http, Use.CHAT, pulled, hardware),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _chosen(
        self, http: OllamaHttp, use: Use, pulled: Sequence[Pulled], hardware: Hardware | None
    ) -> Choice:
        """Choose by what is known of the families; ask about the others only when that finds nothing."""
        wanted = self._wanted if use is Use.EMBEDDING else self._wanted_chat
        means = hardware or (Hardware(0, 1) if wanted else await self._means(http))
        choice = self._choice(use, pulled, means, wanted)
        if choice.chosen is not None or wanted:
            return choice
        known = {model.name: model for model in pulled}
        for model in list(undecided(use, pulled))[:_MOST_ASKED]:
            known[model.name] = replace(model, capabilities=await http.capabilities(model.name))
        return self._choice(use, list(known.values()), means, wanted)

    def _choice(self, use: Use, pulled: Sequence[Pulled], means: Hardware, wanted: str) -> Choice:
        if use is Use.EMBEDDING:
            return choose_embedding(pulled, means, self._embed_limit_s, wanted)
        return choose_chat(pulled, means, self._chat_limit_s, wanted)

    async def _means(self, http: OllamaHttp) -> Hardware:
        here = self._hardware or await to_thread.run_sync(this_machine)
        try:
            loaded = await http.loaded()
        except ProviderError as error:
            # An Ollama before 0.1.33 has no /api/ps; without it there is no known GPU.
            if not error.reason.startswith("http_4"):
                raise
            loaded = []
        return of_host(self._host, loaded, here)

    async def _opened(self) -> OllamaHttp:
        if self._http is None:
            http = await to_thread.run_sync(_open, self._host, abandon_on_cancel=True)
            self._http = self._http or http
        return self._http


def _required(choice: Choice) -> Pulled:
    if choice.chosen is None:
        why = f"{choice.why[0].upper()}{choice.why[1:]}"
        next_step = f"Run `{choice.better}`." if choice.better else ""
        raise ProviderError("model_missing", f"Ollama: {why}.", next_step)
    return choice.chosen


def _open(host: str) -> OllamaHttp:
    try:
        # Importing ollama reads OLLAMA_HOST and the proxy variables, and fails where they make no sense.
        from tool_router.ai.ollama_http import OllamaHttp

        return OllamaHttp(host)
    except (ImportError, ValueError) as error:
        raise ProviderError(
            "unusable",
            f"Ollama's client can't be used: {error}.",
            "Check relevance.host, OLLAMA_HOST and the proxy variables.",
        ) from error
