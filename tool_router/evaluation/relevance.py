"""Vectors of a data set's tools and tasks, from a real provider."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tool_router.ai.catalog_embedder import CatalogEmbedder
from tool_router.ai.provider import EmbeddingModel, RelevanceProvider, Vectors
from tool_router.ai.vectors import CatalogVectors, joined, query_texts
from tool_router.cache.store import Store
from tool_router.catalog.model import Catalog, Tool
from tool_router.evaluation.dataset import EvalTask

BATCH = 32


class SetEmbedder:
    """Embeds what is measured; tools through the router's own embedder, so that a store keeps their vectors.

    Args:
        provider: embeds texts.
        model: its model.
        store: keeps the vectors of tools.
    """

    def __init__(self, provider: RelevanceProvider, model: EmbeddingModel, store: Store) -> None:
        self._provider = provider
        self._model = model
        self._embedder = CatalogEmbedder(provider, store)

    async def tools(self, tools: Sequence[Tool]) -> CatalogVectors:
        """The vectors of a catalog of these tools.

        Raises:
            ProviderError: the provider failed.
        """
        vectors = await self._embedder.embed(Catalog(tuple(tools)), self._model, wanted=lambda: True)
        assert vectors is not None, "always wanted"
        return vectors

    async def tasks(
        self,
        tasks: Sequence[EvalTask],
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Vectors]:
        """The unit vector of each task, zeros for one without text.

        Raises:
            ProviderError: the provider failed.
        """
        texts = [query_texts(task.task, task.context, self._model) for task in tasks]
        flat = [text for of_task in texts for text in of_task]
        rows: list[Vectors] = []
        for start in range(0, len(flat), BATCH):
            rows.extend(await self._provider.embed(flat[start : start + BATCH], self._model))
            on_progress(min(start + BATCH, len(flat)), len(flat))
        found: list[Vectors] = []
        place = 0
        for of_task in texts:
            embedded = np.array(rows[place : place + len(of_task)], np.float32)
            place += len(of_task)
            found.append(joined(embedded, of_task) if of_task else np.zeros(1, np.float32))
        return found
