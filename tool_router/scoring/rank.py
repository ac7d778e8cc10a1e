"""Rank the tools of a catalog for a task. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tool_router.catalog.model import Tool
from tool_router.scoring.blend import Weights, blend, spread_out
from tool_router.scoring.keyword import KeywordIndex
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
    keyword = index.scores(task, context)
    spread = None if relevance is None else spread_out(relevance)
    blended = blend(keyword, spread, weights or Weights())
    positions = np.arange(len(tools)) if subset is None else np.unique(np.asarray(subset, np.int64))
    order = positions[np.argsort(-blended[positions], kind="stable")[:limit]]
    candidates = tuple(
        Candidate(
            tools[i],
            float(blended[i]),
            float(keyword[i]),
            None if spread is None else float(spread[i]),
        )
        for i in map(int, order)
    )
    return Ranking(candidates, rung, rung_reason, candidates[0].score if candidates else 0.0, elapsed_ms)
