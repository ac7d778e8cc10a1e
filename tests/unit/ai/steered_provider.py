"""A relevance provider whose answers take as long, and fail, as a test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import numpy as np

from tool_router.ai.provider import ChatModel, EmbeddingModel, Prompt, Vectors
from tool_router.errors import ProviderError


class SteeredProvider:
    """Has one model for each use; change it while it works.

    Attributes:
        delay_s: how long an answer takes.
        error: what it fails with instead of answering; None answers.
        weights: the key of both its models.
        asked: what was asked of it, in order.
        under_way: how many calls it is answering.
        most: how many these were at most.
    """

    def __init__(self, name: str, delay_s: float = 0.01, *, weights: str = "1") -> None:
        self.name = name
        self.delay_s = delay_s
        self.weights = weights
        self.error: ProviderError | None = None
        self.asked: list[str] = []
        self.under_way = self.most = 0

    async def embedding_model(self) -> EmbeddingModel:
        return EmbeddingModel("embeds", f"embeds@{self.weights}")

    async def embed(self, texts: Sequence[str], model: EmbeddingModel) -> Vectors:
        await self._answer("embed")
        return np.ones((len(texts), 4), np.float32)

    async def chat_model(self) -> ChatModel:
        return ChatModel("chats", f"chats@{self.weights}", loads=True)

    async def warm(self, model: ChatModel) -> None:
        await self._answer("warm")

    async def choose(self, prompt: Prompt, labels: Sequence[str], model: ChatModel) -> Mapping[str, float]:
        await self._answer("choose")
        return {label: 1.0 / len(labels) for label in labels}

    async def complete(self, prompt: Prompt, schema: Mapping[str, Any], model: ChatModel) -> Any:
        await self._answer("complete")
        return {}

    async def aclose(self) -> None:
        pass

    async def _answer(self, what: str) -> None:
        self.asked.append(what)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await anyio.sleep(self.delay_s)
        finally:
            self.under_way -= 1
        if self.error is not None:
            raise self.error
