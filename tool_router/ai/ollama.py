"""Embeddings from an Ollama host. Whatever goes wrong there is a ProviderError with a reason."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TypeVar

import httpx
import numpy as np
import ollama
from pydantic import ValidationError

from tool_router.ai.provider import Vectors
from tool_router.errors import ProviderError

PREFERRED = ("nomic-embed-text", "mxbai-embed-large", "bge-m3", "snowflake-arctic-embed", "all-minilm")
"""Embedding models by family, best first, taken when no model is configured and one of them is pulled."""

SUGGESTED = "all-minilm"
"""What is suggested when none is pulled: 46 MB, about 20 ms a query on an ordinary CPU."""

LIMIT_S = 120.0
"""The longest any request to the host may take; a query has its own, shorter limit."""

T = TypeVar("T")


class OllamaProvider:
    """A `RelevanceProvider` on one Ollama host.

    Args:
        host: its address; empty is Ollama's own default.
        model: the model to use; empty takes the first of `PREFERRED` that is pulled.
    """

    def __init__(self, host: str = "", model: str = "") -> None:
        self._client = ollama.AsyncClient(host or None, timeout=httpx.Timeout(LIMIT_S, connect=5.0))
        self._model = model

    async def model(self) -> str:
        """The configured model, or the best one that is pulled.

        Raises:
            ProviderError: the host can't be asked (refused, timeout, ...), or has no embedding model.
        """
        if self._model:
            return self._model
        listing = await self._asked(self._client.list())
        pulled = [entry.model for entry in listing.models if entry.model]
        for family in PREFERRED:
            for name in pulled:
                if name.split(":", 1)[0] == family:
                    return name
        raise ProviderError(
            "model_missing", "Ollama has no embedding model.", f"Run `ollama pull {SUGGESTED}`."
        )

    async def embed(self, texts: Sequence[str], model: str) -> Vectors:
        """One vector for each text.

        Raises:
            ProviderError: refused, timeout, model_missing, malformed or http_<status>.
        """
        answer = await self._asked(self._client.embed(model=model, input=list(texts)))
        try:
            vectors = np.asarray(answer.embeddings, np.float32)
        except (ValueError, TypeError) as error:
            raise ProviderError("malformed", f"Ollama's vectors differ in length: {error}.") from error
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1]:
            raise ProviderError("malformed", f"Ollama gave {len(vectors)} vectors for {len(texts)} texts.")
        if not np.isfinite(vectors).all():
            raise ProviderError("malformed", "Ollama's vectors hold values that are no numbers.")
        return vectors

    async def _asked(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except ollama.ResponseError as error:
            if error.status_code == 404:
                wanted = self._model or SUGGESTED
                raise ProviderError(
                    "model_missing", f"Ollama says: {error.error}.", f"Run `ollama pull {wanted}`."
                ) from error
            raise ProviderError(f"http_{error.status_code}", f"Ollama says: {error.error[:200]}.") from error
        except (ConnectionError, httpx.ConnectError) as error:
            raise ProviderError("refused", "Ollama can't be reached.", "Start it: `ollama serve`.") from error
        except httpx.TimeoutException as error:
            raise ProviderError("timeout", "Ollama did not answer in time.") from error
        except (httpx.HTTPError, ValidationError, ValueError, TypeError, KeyError) as error:
            raise ProviderError(
                "malformed", f"Ollama's answer can't be read: {type(error).__name__}."
            ) from error
