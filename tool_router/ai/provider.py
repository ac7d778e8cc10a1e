"""The protocol of relevance providers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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


class RelevanceProvider(Protocol):
    """Embeds texts; every failure is a ProviderError. The caller bounds the time with a cancel scope."""

    async def model(self) -> EmbeddingModel:
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

    async def aclose(self) -> None:
        """Close its connections; the next use opens new ones."""
        ...
