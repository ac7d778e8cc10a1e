"""One score out of two: relevance and keyword, on comparable scales. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Weights:
    """Shares of the two scores; only their ratio matters."""

    relevance: float = 0.7
    keyword: float = 0.3


def blend(keyword: Floats, relevance: Floats | None, weights: Weights) -> Floats:
    """The weighted mean of keyword and relevance; the keyword score alone where there is no relevance.

    Args:
        keyword: in [0, 1], one for each tool.
        relevance: spread over [0, 1] (`spread_out`), one for each tool, or None.
        weights: shares of the two.
    """
    total = weights.relevance + weights.keyword
    if relevance is None or total <= 0:
        return keyword
    share = weights.relevance / total
    return (share * relevance + (1 - share) * keyword).astype(np.float32)


def spread_out(relevance: Floats) -> Floats:
    """Spread one query's values linearly over [0, 1]: the best tool gets 1, the worst 0.

    Cosines of one query crowd in a narrow band; without this the keyword score would decide alone. Equal
    values all become 0, and so does what is not a number.
    """
    finite = np.isfinite(relevance)
    if not finite.any():
        return np.zeros(len(relevance), np.float32)
    low, high = relevance[finite].min(), relevance[finite].max()
    if high <= low:
        return np.zeros(len(relevance), np.float32)
    return np.where(finite, (relevance - low) / (high - low), np.float32(0)).astype(np.float32)
