"""A relevance provider that answers after a given time, so that the router's own share can be measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import numpy as np

from tool_router.ai.provider import ChatModel, EmbeddingModel, Prompt, Vectors
from tool_router.errors import ProviderError
from tool_router.learning.task_words import task_words

MODEL = EmbeddingModel("words", "words@1")


class TimedProvider:
    """Embeds texts as their hashed words; has no chat model.

    Attributes:
        delay_s: how long an answer takes; may be changed at any time.
        waited_s: how long answers have taken so far.
    """

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.waited_s = 0.0

    @property
    def name(self) -> str:
        """Which provider it is."""
        return "the timed provider"

    async def embedding_model(self) -> EmbeddingModel:
        """Its one model."""
        return MODEL

    async def embed(self, texts: Sequence[str], model: EmbeddingModel) -> Vectors:
        """A vector for each text, after the delay."""
        started = anyio.current_time()
        await anyio.sleep(self.delay_s)
        self.waited_s += anyio.current_time() - started
        return np.array([_never_zero(task_words(text)) for text in texts], np.float32)

    async def chat_model(self) -> ChatModel:
        """It has none.

        Raises:
            ProviderError: always.
        """
        raise ProviderError("unsupported", "The timed provider has no chat model.")

    async def warm(self, model: ChatModel) -> None:
        """It has no chat model to warm."""

    async def choose(self, prompt: Prompt, labels: Sequence[str], model: ChatModel) -> Mapping[str, float]:
        """It has no chat model to ask.

        Raises:
            ProviderError: always.
        """
        raise ProviderError("unsupported", "The timed provider has no chat model.")

    async def complete(self, prompt: Prompt, schema: Mapping[str, Any], model: ChatModel) -> Any:
        """It has no chat model to ask.

        Raises:
            ProviderError: always.
        """
        raise ProviderError("unsupported", "The timed provider has no chat model.")

    async def aclose(self) -> None:
        """Nothing to close."""


def _never_zero(vector: Vectors) -> Vectors:
    return vector if vector.any() else np.ones_like(vector)
