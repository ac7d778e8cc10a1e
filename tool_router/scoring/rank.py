"""Rank the tools of a catalog for a task. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tool_router.catalog.model import Tool
from tool_router.scoring.blend import Weights, blend, spread_out
from tool_router.scoring.confidence import features, probability
from tool_router.scoring.keyword import Floats, KeywordIndex
from tool_router.scoring.ranking import Candidate, Ranking, Rung


def rank(
    tools: Sequence[Tool],
    index: KeywordIndex,
    task: str,
    context: str = "",
    *,
    relevance: NDArray[np.float32] | None = None,
    weights: Weights | None = None,
    limit: int = 10,
    subset: Sequence[int] | None = None,
    rung: Rung = Rung.KEYWORD,
    rung_reason: str = "",
    elapsed_ms: float = 0.0,
) -> Ranking:
    """Rank tools by the blend of keyword score and relevance; equal scores keep the catalog's order.

    Args:
        tools: the catalog's tools, those the index was built from.
        index: their keyword index.
        task: what should be done.
        context: what else is known; counts less than the task.
        relevance: one value for each tool, any scale, or None on the keyword rung.
        weights: shares of relevance and keyword.
        limit: how many candidates to keep.
        subset: positions to rank; None ranks all.
        rung: the rung that `relevance` comes from.
        rung_reason: why no higher rung answered.
        elapsed_ms: time spent before, in milliseconds; the ranking's own time is added.
    """
    started = time.perf_counter()
    keyword = index.scores(task, context)
    spread = None if relevance is None else spread_out(relevance)
    blended = blend(keyword, spread, weights or Weights())
    order = order_of(blended, subset, limit)
    candidates = tuple(
        Candidate(
            tools[i],
            float(blended[i]),
            float(keyword[i]),
            None if spread is None else float(spread[i]),
        )
        for i in map(int, order)
    )
    found = features_of(index, task, keyword, blended, order) if candidates else None
    confidence = probability(found, rung) if found and candidates[0].score > 0 else 0.0
    elapsed_ms += (time.perf_counter() - started) * 1000
    return Ranking(candidates, rung, rung_reason, confidence, elapsed_ms)


def order_of(scores: Floats, subset: Sequence[int] | None, limit: int) -> NDArray[np.int64]:
    """Positions of the best scores, best first; equal scores keep the catalog's order."""
    positions = np.arange(len(scores)) if subset is None else np.unique(np.asarray(subset, np.int64))
    if len(positions) > 4 * limit:
        # Only what can be among the best is sorted: everything that reaches the limit-th value.
        least = np.partition(scores[positions], -limit)[-limit]
        positions = positions[scores[positions] >= least]
    return positions[np.argsort(-scores[positions], kind="stable")[:limit]].astype(np.int64)


def features_of(
    index: KeywordIndex, task: str, keyword: Floats, scores: Floats, order: NDArray[np.int64]
) -> tuple[float, ...]:
    """The features of a ranking for the confidence model; `order` holds at least one position."""
    first = int(order[0])
    named = index.names(task, first)
    return features([float(scores[i]) for i in order], float(keyword[first]), named=named)
