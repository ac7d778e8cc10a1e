"""Embeds the texts of a catalog, batch by batch, each text once for each model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
import structlog
from anyio import to_thread

from tool_router.ai.provider import EmbeddingModel, RelevanceProvider, Vectors
from tool_router.ai.vectors import (
    CatalogVectors,
    TextKeys,
    assemble,
    from_bytes,
    text_keys,
    to_bytes,
    unit,
)
from tool_router.cache.store import Store
from tool_router.catalog.model import Catalog
from tool_router.errors import ProviderError, StoreError

BATCH = 32
"""Texts of one request: few enough that little is lost when the router ends in between."""

BATCH_LIMIT_S = 120.0

_HARMLESS = "hello"
_OF_THE_HOST = frozenset({"refused", "timeout", "model_missing", "unusable"})
"""Reasons that no single text can cause."""


class CatalogEmbedder:
    """Computes catalog vectors with a provider and keeps them in a store.

    Not for use by two tasks at once.
    """

    def __init__(self, provider: RelevanceProvider, store: Store) -> None:
        self._provider = provider
        self._store = store
        self._progress = (0, 0)
        self._answered = 0
        self._trust_stored = True
        self._log = structlog.get_logger()

    @property
    def progress(self) -> tuple[int, int]:
        """Distinct texts that have a vector, and how many there are."""
        return self._progress

    @property
    def answered(self) -> int:
        """How many requests the provider has answered."""
        return self._answered

    def distrust_stored(self) -> None:
        """Compute the next catalog's vectors anew."""
        self._trust_stored = False

    async def embed(
        self, catalog: Catalog, model: EmbeddingModel, *, wanted: Callable[[], bool]
    ) -> CatalogVectors | None:
        """The vectors of a catalog; None as soon as it is no longer wanted. What was computed is kept.

        Raises:
            ProviderError: the provider failed.
        """
        keys = await to_thread.run_sync(text_keys, catalog, model)
        known = await self._stored(keys, model) if self._trust_stored else {}
        missing = [key for key in keys.texts if key not in known]
        self._progress = (len(known), len(keys.texts))
        unembeddable = 0
        for start in range(0, len(missing), BATCH):
            if not wanted():
                return None
            batch = missing[start : start + BATCH]
            fresh = await self._embed_batch(batch, keys, model)
            if known and fresh and _dimension(known) != _dimension(fresh):
                self.distrust_stored()
                raise ProviderError(
                    "malformed", f"The vectors of {self._provider.name} changed their length."
                )
            known |= fresh
            unembeddable += len(batch) - len(fresh)
            self._progress = (len(known) + unembeddable, len(keys.texts))
            await self._keep(model, fresh)
        vectors = await to_thread.run_sync(assemble, keys, model, known)
        self._trust_stored = True
        self._log.info(
            "catalog_vectors_ready",
            model=model.name,
            tools=len(keys.rows),
            embedded=len(missing) - unembeddable,
            unembeddable=unembeddable,
        )
        return vectors

    async def _embed_batch(
        self, batch: Sequence[str], keys: TextKeys, model: EmbeddingModel
    ) -> dict[str, Vectors]:
        """Unit vectors by text hash, without those texts that the model can't embed.

        Raises:
            ProviderError: the provider fails whatever the text.
        """
        try:
            vectors = unit(await self._ask([keys.texts[key] for key in batch], model))
        except ProviderError as error:
            if error.reason in _OF_THE_HOST:
                raise
            if len(batch) == 1:
                # One tool's text must not cost all the others their vectors; a broken host fails here too.
                await self._ask([_HARMLESS], model)
                self._log.warning("tool_not_embedded", reason=error.reason, text=keys.texts[batch[0]][:80])
                return {}
            middle = len(batch) // 2
            first = await self._embed_batch(batch[:middle], keys, model)
            return first | await self._embed_batch(batch[middle:], keys, model)
        return dict(zip(batch, vectors, strict=True))

    async def _ask(self, texts: Sequence[str], model: EmbeddingModel) -> Vectors:
        try:
            with anyio.fail_after(BATCH_LIMIT_S):
                vectors = await self._provider.embed(texts, model)
        except TimeoutError as error:
            late = f"{self._provider.name} did not embed {len(texts)} texts within {BATCH_LIMIT_S:g} s."
            raise ProviderError("timeout", late) from error
        self._answered += 1
        return vectors

    async def _stored(self, keys: TextKeys, model: EmbeddingModel) -> dict[str, Vectors]:
        try:
            return from_bytes(await self._store.vectors(model.key, list(keys.texts)))
        except StoreError as error:
            self._log.warning("vectors_not_read", detail=str(error))
            return {}

    async def _keep(self, model: EmbeddingModel, fresh: dict[str, Vectors]) -> None:
        try:
            await self._store.save_vectors(model.key, to_bytes(fresh))
        except StoreError as error:
            self._log.warning("vectors_not_kept", detail=str(error))


def _dimension(vectors: dict[str, Vectors]) -> int:
    return len(next(iter(vectors.values())))
