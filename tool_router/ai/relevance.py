"""The embed rung: how near a task is to every tool, by vectors. Its failures end here, as reasons."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio
import numpy as np
import structlog
from cachetools import TTLCache
from numpy.typing import NDArray

from tool_router.ai.provider import RelevanceProvider, Vectors
from tool_router.cache.store import Store
from tool_router.catalog.model import Catalog, Tool
from tool_router.errors import ProviderError, StoreError

BATCH = 32
"""Texts embedded by one request: small enough to be kept when the router ends in between."""

TEXT_LIMIT = 1_000
"""Characters of a tool's or task's text; small embedding models read 256 to 512 tokens."""

REST_S = 30.0
"""How long a provider that failed is left alone, so that not every request pays for it."""

QUERY_TTL_S = 300.0
CONTEXT_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Relevance:
    """Cosines in the order of the catalog's tools, or None and the reason why there are none."""

    scores: NDArray[np.float32] | None
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    fingerprint: str
    model: str
    matrix: Vectors


class EmbedRelevance:
    """Scores a catalog's tools by the cosine between task and tool.

    Args:
        provider: embeds texts.
        store: keeps the vectors of tools, so that each text is embedded once for each model.
        query_timeout_s: the longest a request waits for the vector of its task.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        provider: RelevanceProvider,
        store: Store,
        *,
        query_timeout_s: float,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._provider = provider
        self._store = store
        self._query_timeout_s = query_timeout_s
        self._clock = clock
        self._prepared: _Prepared | None = None
        self._progress = (0, 0)
        self._catalog: Catalog | None = None
        self._changed = anyio.Event()
        self._rest_until = 0.0
        self._reason = "the catalog's vectors are not ready yet"
        self._queries = TTLCache[tuple[str, str], Vectors, float](512, QUERY_TTL_S, time.monotonic)
        self._log = structlog.get_logger()

    @property
    def progress(self) -> tuple[int, int]:
        """Vectors of the catalog that are ready, and how many there will be."""
        return self._progress

    def prepare(self, catalog: Catalog) -> None:
        """Have `run` compute the vectors of a catalog, in place of the one before."""
        self._catalog = catalog
        self._changed.set()

    async def run(self) -> None:
        """Compute vectors in the background until cancelled; a provider that fails is asked again later."""
        while True:
            await self._changed.wait()
            self._changed = changed = anyio.Event()
            while self._catalog is not None and not changed.is_set():
                try:
                    await self._prepare(self._catalog)
                    break
                except ProviderError as error:
                    self._rest(error)
                with anyio.move_on_after(REST_S):
                    await changed.wait()

    async def scores(self, task: str, context: str, catalog: Catalog, budget_s: float) -> Relevance:
        """The cosine of every tool, or why there is none; never fails and never exceeds its time.

        Args:
            task: what should be done.
            context: what else is known; only its beginning is used.
            catalog: the tools to score.
            budget_s: seconds this may take; `query_timeout_s` bounds it further.
        """
        prepared = self._prepared
        if prepared is None or prepared.fingerprint != catalog.fingerprint:
            done, total = self._progress
            share = f" ({done} of {total})" if total else ""
            return Relevance(None, f"{self._reason}{share}")
        if not task.strip():
            return Relevance(None, "the task is empty")
        if self._clock() < self._rest_until:
            return Relevance(None, self._reason)
        limit_s = min(budget_s, self._query_timeout_s)
        vector = None
        with anyio.move_on_after(limit_s):
            try:
                vector = await self._query(_query_text(task, context), prepared.model)
            except ProviderError as error:
                self._rest(error)
                return Relevance(None, self._reason)
        if vector is None:
            self._rest(ProviderError("timeout", f"Ollama did not answer within {limit_s:g} s."))
            return Relevance(None, self._reason)
        if len(vector) != prepared.matrix.shape[1]:
            self._forget()
            return Relevance(None, "the model's vectors changed their length; they are computed anew")
        return Relevance(prepared.matrix @ vector)

    async def _query(self, text: str, model: str) -> Vectors:
        key = (model, text)
        vector = self._queries.get(key)
        if vector is None:
            vector = _normalised(await self._provider.embed([text], model))[0]
            self._queries[key] = vector
        return vector

    async def _prepare(self, catalog: Catalog) -> None:
        model = await self._provider.model()
        texts = {text_hash(text): text for text in map(tool_text, catalog.tools)}
        known = await self._stored(model, list(texts))
        missing = [key for key in texts if key not in known]
        self._progress = (len(known), len(texts))
        for start in range(0, len(missing), BATCH):
            keys = missing[start : start + BATCH]
            vectors = _normalised(await self._provider.embed([texts[key] for key in keys], model))
            fresh = dict(zip(keys, vectors, strict=True))
            known |= fresh
            self._progress = (len(known), len(texts))
            try:
                await self._store.save_vectors(
                    model, {key: vector.tobytes() for key, vector in fresh.items()}
                )
            except StoreError as error:
                self._log.warning("vectors_not_kept", error=str(error))
        rows = [known[text_hash(tool_text(tool))] for tool in catalog.tools]
        if len({len(row) for row in rows}) > 1:
            raise ProviderError("malformed", "The vectors of one model differ in length.")
        matrix = np.vstack(rows) if rows else np.zeros((0, 1), np.float32)
        self._prepared = _Prepared(catalog.fingerprint, model, matrix)
        self._log.info("catalog_vectors_ready", model=model, tools=len(rows), embedded=len(missing))

    async def _stored(self, model: str, keys: list[str]) -> dict[str, Vectors]:
        try:
            blobs = await self._store.vectors(model, keys)
        except StoreError as error:
            self._log.warning("vectors_not_read", error=str(error))
            return {}
        return {key: np.frombuffer(blob, np.float32) for key, blob in blobs.items()}

    def _rest(self, error: ProviderError) -> None:
        if self._reason != str(error):
            self._log.info("relevance_fallback", reason=error.reason, error=str(error))
        self._reason = str(error)
        self._rest_until = self._clock() + REST_S

    def _forget(self) -> None:
        self._prepared = None
        self._queries.clear()
        self._changed.set()


def tool_text(tool: Tool) -> str:
    """What is embedded of a tool: its server, name and description."""
    said = f"{tool.server} {tool.name}: {' '.join(tool.description.split())}"
    return said[:TEXT_LIMIT]


def text_hash(text: str) -> str:
    """The key of a text's vector."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _query_text(task: str, context: str) -> str:
    return f"{task[:TEXT_LIMIT]}\n{context[:CONTEXT_LIMIT]}".strip()


def _normalised(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
