"""One score out of two: relevance and keyword, on comparable scales. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


TRUSTED = 0.4
"""Best keyword score from which on words are trusted whole; chosen on the dev data."""
LEAST_TRUST = 0.45
"""How far words are trusted at least; chosen on the dev data."""
LEAST_SPREAD = 0.02
"""Spread of keyword scores below which they say nothing: about half of what is usual on any catalog."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Shares of the two scores; only their ratio matters."""

    relevance: float = 0.7
    keyword: float = 0.3


def blend(keyword: Floats, relevance: Floats | None, weights: Weights) -> Floats:
    """The weighted mean of keyword and relevance; the keyword score alone where there is no relevance.

    Cosines of one query crowd in a narrow band, so relevance is first brought to the keyword scores' own mean
    and spread (`docs/selection.md` compares the ways to do so). Words that hardly match any tool count less.

    Args:
        keyword: in [0, 1], one for each tool.
        relevance: one for each tool, on any scale; what is not a number counts as the lowest.
        weights: shares of the two.
    """
    total = weights.relevance + weights.keyword
    if relevance is None or total <= 0:
        return keyword
    share = weights.relevance / total
    level, spread = scale_of(keyword)
    scaled = level + spread * standard(relevance)
    return (share * scaled + (1 - share) * trust_of(keyword) * keyword).astype(np.float32)


def trust_of(keyword: Floats) -> float:
    """How far one query's keyword scores are trusted, at most 1: little when even the best is low.

    A task in words that no tool uses matches some by accident; spread as wide as good matches, that would
    outweigh relevance.
    """
    best = float(keyword.max()) if keyword.size else 0.0
    return min(1.0, LEAST_TRUST + (1.0 - LEAST_TRUST) * best / TRUSTED)


def scale_of(keyword: Floats) -> tuple[float, float]:
    """Mean and spread of one query's keyword scores; `LEAST_SPREAD` where hardly any word was found."""
    if not keyword.size:
        return 0.0, LEAST_SPREAD
    return float(keyword.mean()), max(float(keyword.std()), LEAST_SPREAD)


def standard(scores: Floats) -> Floats:
    """The scores in standard deviations from their mean; zeros where they do not differ."""
    finite = np.isfinite(scores)
    if not finite.any():
        return np.zeros(len(scores), np.float32)
    whole = np.where(finite, scores, scores[finite].min())
    spread = float(whole.std())
    if spread <= 1e-9:
        return np.zeros(len(scores), np.float32)
    return ((whole - whole.mean()) / spread).astype(np.float32)
