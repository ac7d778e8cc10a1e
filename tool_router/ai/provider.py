"""The protocol of relevance providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class RelevanceProvider(Protocol):
    """Embeds texts; every failure is a ProviderError."""

    async def model(self) -> str:
        """The embedding model in use.

        Raises:
            ProviderError: the host can't be asked, or has no embedding model.
        """
        ...

    async def embed(self, texts: Sequence[str], model: str) -> Vectors:
        """One finite vector for each text, as rows of equal length.

        Raises:
            ProviderError: no or no usable answer came.
        """
        ...
