"""The embed rung: how near a task is to every tool, by vectors. Its failures end here, as reasons."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import anyio
import numpy as np
import structlog
from cachetools import TTLCache

from tool_router.ai.catalog_embedder import CatalogEmbedder
from tool_router.ai.provider import EmbeddingModel, RelevanceProvider, Vectors
from tool_router.ai.trouble import Trouble
from tool_router.ai.vectors import CatalogVectors, joined, query_texts
from tool_router.cache.store import Store
from tool_router.catalog.model import Catalog
from tool_router.errors import ProviderError

PROBE_LIMIT_S = 60.0
"""How long the background waits for an answer; a host that loads a model from disk needs many seconds."""

RECHECK_S = 60.0
KEPT_S = 20 * 60.0
"""A host keeps a loaded model for thirty minutes after its last use; after this time it is used once."""

QUERY_TTL_S = 300.0
_QUERIES_KEPT = 512
_PROBE = {"list the files of a folder": 1.0}


@dataclass(frozen=True, slots=True, eq=False)
class TaskVector:
    """The unit vector of a task, and the key of the model it is from."""

    model: str
    vector: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Relevance:
    """Cosines in the order of the catalog's tools, or None and the reason why there are none.

    Attributes:
        query: the task's vector; None without scores.
    """

    scores: Vectors | None
    reason: str = ""
    query: TaskVector | None = None


class EmbedRelevance:
    """Scores a catalog's tools by the cosine between task and tool.

    A provider that failed is left to `run`, which asks it again after a growing rest; until it answers in
    time requests do without it at once, so that one request at most pays for each failure.

    Args:
        provider: embeds texts.
        store: keeps the vectors of tools, so that each text is embedded once for each model.
        query_timeout_s: the longest a request waits for the vector of its task.
        recheck_s: time between two looks at the provider's choice of a model.
        clock: monotonic seconds.
        jitter: a random number in [0, 1).
    """

    def __init__(
        self,
        provider: RelevanceProvider,
        store: Store,
        *,
        query_timeout_s: float,
        recheck_s: float = RECHECK_S,
        clock: Callable[[], float] = anyio.current_time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._provider = provider
        self._embedder = CatalogEmbedder(provider, store)
        self._query_timeout_s = query_timeout_s
        self._recheck_s = recheck_s
        self._answered_at = -math.inf
        self._clock = clock
        self._trouble = Trouble(clock, jitter)
        self._catalog: Catalog | None = None
        self._vectors: CatalogVectors | None = None
        self._wanted = anyio.Event()
        self._tried = anyio.Event()
        self._queries = TTLCache[tuple[object, ...], Vectors, float](_QUERIES_KEPT, QUERY_TTL_S, clock)
        self._log = structlog.get_logger()

    @property
    def progress(self) -> tuple[int, int]:
        """Distinct texts of the catalog that have a vector, and how many there are."""
        return self._embedder.progress

    @property
    def model_key(self) -> str:
        """Names the weights whose vectors are used; empty while there are none."""
        return self._vectors.model.key if self._vectors is not None else ""

    @property
    def reason(self) -> str:
        """Why there are no scores now; empty when there are."""
        if self._trouble.reason:
            return self._trouble.reason
        vectors, catalog = self._vectors, self._catalog
        if vectors is not None and catalog is not None and vectors.fingerprint == catalog.fingerprint:
            return ""
        return self._share_ready()

    def prepare(self, catalog: Catalog) -> None:
        """Have `run` compute the vectors of a catalog, in place of the one before."""
        self._catalog = catalog
        self._want()

    async def settled(self) -> str:
        """Wait until `run` has done what was wanted, or has failed at it; return the `reason`."""
        await self._tried.wait()
        return self.reason

    async def run(self) -> None:
        """Compute vectors and mend the provider's failures in the background until cancelled.

        Every `recheck_s` it also looks whether the provider would now use another model (a better one that
        was pulled, other weights, a preferred provider that came back) and keeps the model loaded.
        """
        while True:
            with anyio.move_on_after(self._recheck_s):
                await self._wanted.wait()
            await self._catch_up()

    async def scores(self, task: str, context: str, catalog: Catalog, budget_s: float) -> Relevance:
        """The cosine of every tool, or why there is none; never fails and never exceeds its time.

        Args:
            task: what should be done.
            context: what else is known; only its beginning is used.
            catalog: the tools to score.
            budget_s: seconds this may take; `query_timeout_s` bounds it further.
        """
        vectors = self._vectors
        if vectors is None or vectors.fingerprint != catalog.fingerprint:
            return Relevance(None, self._trouble.reason or self._share_ready())
        texts = query_texts(task, context, vectors.model)
        if not texts:
            return Relevance(None, "the task is empty")
        key = (vectors.model.key, *texts.items())
        query = self._queries.get(key)
        if query is None:
            if self._trouble.reason:
                return Relevance(None, self._trouble.reason)
            query = await self._ask(texts, vectors, budget_s)
            if query is None:
                return Relevance(None, self._trouble.reason or "no time was left to embed the task")
            self._queries[key] = query
        return Relevance(vectors.cosines(query), query=TaskVector(vectors.model.key, query))

    async def _ask(
        self, texts: Mapping[str, float], vectors: CatalogVectors, budget_s: float
    ) -> Vectors | None:
        """The unit vector of a query, or None with the trouble noted."""
        limit_s = min(budget_s, self._query_timeout_s)
        with anyio.move_on_after(limit_s):
            try:
                return await self._embed_query(texts, vectors.model, vectors.dimension)
            except ProviderError as error:
                self._note(error)
                self._want()
                return None
        if limit_s >= self._query_timeout_s:
            self._note(self._too_slow())
            self._want()
        return None

    async def _embed_query(
        self, texts: Mapping[str, float], model: EmbeddingModel, dimension: int
    ) -> Vectors:
        found = joined(await self._provider.embed(tuple(texts), model), texts)
        if len(found) != dimension:
            self._forget()
            raise ProviderError(
                "malformed",
                f"The vectors of {self._provider.name} have {len(found)} values now, and had {dimension}.",
            )
        if not np.any(found):
            raise ProviderError("malformed", f"{self._provider.name} gave a vector of zeros.")
        self._answered_at = self._clock()
        return found

    async def _catch_up(self) -> None:
        """Prepare the catalog and see the provider work; rest between the tries."""
        while True:
            await anyio.sleep(self._trouble.rest_s)
            self._wanted = anyio.Event()
            catalog = self._catalog
            try:
                with anyio.fail_after(PROBE_LIMIT_S):
                    model = await self._provider.embedding_model()
                if self._vectors is not None and _same_name_only(self._vectors.model, model):
                    self._drop()
                if catalog is not None and not self._is_ready(catalog, model):
                    answered = self._embedder.answered
                    vectors = await self._embedder.embed(catalog, model, wanted=self._still_wants(catalog))
                    if vectors is None:
                        continue
                    self._vectors = vectors
                    if self._embedder.answered > answered:
                        self._answered_at = self._clock()
                if self._vectors is not None and (self._trouble.reason or self._may_be_cold()):
                    await self._probe(self._vectors)
            except ProviderError as error:
                self._note(error)
            except TimeoutError:
                self._note(
                    ProviderError(
                        "timeout", f"{self._provider.name} did not answer within {PROBE_LIMIT_S:g} s."
                    )
                )
            else:
                if self._trouble.mended():
                    self._log.info("relevance_recovered")
                self._settle()
                return
            self._settle()

    async def _probe(self, vectors: CatalogVectors) -> None:
        """See whether a query would be answered in time; the first may wait for the model to load.

        Raises:
            ProviderError: it would not.
            TimeoutError: not even the first was answered.
        """
        with anyio.fail_after(PROBE_LIMIT_S):
            await self._embed_query(_PROBE, vectors.model, vectors.dimension)
        with anyio.move_on_after(self._query_timeout_s):
            await self._embed_query(_PROBE, vectors.model, vectors.dimension)
            return
        raise self._too_slow()

    def _is_ready(self, catalog: Catalog, model: EmbeddingModel) -> bool:
        vectors = self._vectors
        return vectors is not None and vectors.fingerprint == catalog.fingerprint and vectors.model == model

    def _still_wants(self, catalog: Catalog) -> Callable[[], bool]:
        return lambda: self._catalog is catalog

    def _too_slow(self) -> ProviderError:
        late = f"{self._provider.name} did not embed the task within {self._query_timeout_s:g} s."
        return ProviderError("timeout", late)

    def _may_be_cold(self) -> bool:
        """Whether the host may have dropped the model, or has not loaded it yet."""
        vectors = self._vectors
        return vectors is not None and len(vectors.matrix) > 0 and self._clock() - self._answered_at > KEPT_S

    def _share_ready(self) -> str:
        done, total = self.progress
        if not total:
            return "the catalog's vectors are not ready yet"
        return f"the catalog's vectors are {100 * done // total} % ready"

    def _want(self) -> None:
        """Have `run` look at the catalog and at the provider."""
        if self._tried.is_set():
            self._tried = anyio.Event()
        self._wanted.set()

    def _settle(self) -> None:
        if not self._wanted.is_set():
            self._tried.set()

    def _note(self, error: ProviderError) -> None:
        if self._trouble.failed(error):
            # Many people have no Ollama: that nobody listens there is how things are, not a fault.
            level = "info" if error.reason == "refused" else "warning"
            getattr(self._log, level)("relevance_fallback", reason=error.reason, detail=str(error))

    def _forget(self) -> None:
        """Drop the catalog's vectors, stored ones too: the model gives others now."""
        self._drop()
        self._embedder.distrust_stored()

    def _drop(self) -> None:
        self._vectors = None
        self._queries.clear()


def _same_name_only(before: EmbeddingModel, now: EmbeddingModel) -> bool:
    """Whether other weights answer under the old name, so that its vectors do not fit theirs."""
    return before.name == now.name and before.key != now.key
