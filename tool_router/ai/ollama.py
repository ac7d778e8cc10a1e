"""Embeddings from an Ollama host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anyio import to_thread

from tool_router.ai.models import SUGGESTED, configured, described, preferred
from tool_router.ai.provider import EmbeddingModel, Vectors
from tool_router.errors import ProviderError

if TYPE_CHECKING:
    from tool_router.ai.ollama_http import OllamaHttp

_MOST_ASKED = 20
"""How many models of unknown families are asked whether they embed."""


class OllamaProvider:
    """A `RelevanceProvider` on one Ollama host.

    Args:
        host: its address; empty is Ollama's own default.
        model: the model to use; empty takes the preferred one among those that are pulled.
    """

    def __init__(self, host: str = "", model: str = "") -> None:
        self._host = host
        self._wanted = model.strip()
        self._http: OllamaHttp | None = None

    async def model(self) -> EmbeddingModel:
        """The configured model, or the preferred one of those that are pulled.

        Raises:
            ProviderError: the host can't be asked (refused, timeout, ...), or has no such model.
        """
        http = await self._opened()
        pulled = await http.pulled()
        if self._wanted:
            found = configured(self._wanted, pulled)
            if found is None:
                raise ProviderError(
                    "model_missing",
                    f"Ollama does not have {self._wanted}.",
                    f"Run `ollama pull {self._wanted}`.",
                )
            return found
        found = preferred(pulled)
        if found is not None:
            return found
        for model in pulled[:_MOST_ASKED]:
            if await http.embeds(model.name):
                return described(model)
        raise ProviderError(
            "model_missing", "Ollama has no embedding model.", f"Run `ollama pull {SUGGESTED}`."
        )

    async def embed(self, texts: Sequence[str], model: EmbeddingModel) -> Vectors:
        """One vector for each text.

        Raises:
            ProviderError: refused, timeout, model_missing, malformed or http_<status>.
        """
        http = await self._opened()
        return await http.embed(texts, model.name)

    async def aclose(self) -> None:
        """Close the connections."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _opened(self) -> OllamaHttp:
        if self._http is None:
            http = await to_thread.run_sync(_open, self._host, abandon_on_cancel=True)
            self._http = self._http or http
        return self._http


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
