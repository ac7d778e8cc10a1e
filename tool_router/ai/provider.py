"""The protocol of relevance providers: what embeds texts, and what answers prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """A model that embeds texts.

    Attributes:
        name: what the provider calls it.
        key: names these very weights, so that vectors of another version are never mixed with its own.
        query_prefix: what the model was trained to see before a query.
        document_prefix: the same for what is searched.
    """

    name: str
    key: str
    query_prefix: str = ""
    document_prefix: str = ""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ChatModel:
    """A model that answers prompts.

    Attributes:
        name: what the provider calls it.
        key: tells it from models of the same name elsewhere.
        loads: whether its host loads it on demand and drops it when idle, so that it has to be kept warm.
    """

    name: str
    key: str
    loads: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a chat model is asked: the router's own instructions, and the texts they are about."""

    system: str
    user: str


class RelevanceProvider(Protocol):
    """Embeds texts and answers prompts; every failure is a ProviderError.

    A provider that lacks an ability says so with the reason ``unsupported``. The caller bounds the time with
    a cancel scope.
    """

    @property
    def name(self) -> str:
        """Which provider it is, for people."""
        ...

    async def embedding_model(self) -> EmbeddingModel:
        """The embedding model to use now.

        Raises:
            ProviderError: the host can't be asked, or has no embedding model.
        """
        ...

    async def embed(self, texts: Sequence[str], model: EmbeddingModel) -> Vectors:
        """One finite vector for each text, as rows of equal length.

        Raises:
            ProviderError: no or no usable answer came.
        """
        ...

    async def chat_model(self) -> ChatModel:
        """The chat model to use now.

        Raises:
            ProviderError: the host can't be asked, or has no chat model that can be used.
        """
        ...

    async def warm(self, model: ChatModel) -> None:
        """Have a chat model loaded, however long that takes; returns when it could answer.

        Raises:
            ProviderError: it can't be loaded.
        """
        ...

    async def choose(self, prompt: Prompt, labels: Sequence[str], model: ChatModel) -> Mapping[str, float]:
        """The probability of each label as the first token of the answer; they sum to one.

        Raises:
            ProviderError: ``unsupported`` without log probabilities; ``malformed`` where the answer is none
                of the labels, or its probabilities are no numbers; else as `embed`.
        """
        ...

    async def complete(self, prompt: Prompt, schema: Mapping[str, Any], model: ChatModel) -> Any:
        """The answer as JSON that was asked to satisfy a schema; the caller checks whether it does.

        Raises:
            ProviderError: ``malformed`` where the answer is no JSON; else as `embed`.
        """
        ...

    async def aclose(self) -> None:
        """Close its connections; the next use opens new ones."""
        ...
