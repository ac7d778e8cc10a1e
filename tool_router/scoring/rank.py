"""Rank the tools of a catalog for a task. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tool_router.catalog.model import Tool
from tool_router.scoring.blend import Weights, blend
from tool_router.scoring.confidence import certainty, features
from tool_router.scoring.keyword import Floats, KeywordIndex
from tool_router.scoring.ranking import Candidate, Ranking, Rung

AFFINITY_WEIGHT = 0.5
"""Added to the score of a tool whose affinity is 1: as much as a strong match of words gives."""


def rank(
    tools: Sequence[Tool],
    index: KeywordIndex,
    task: str,
    context: str = "",
    *,
    relevance: NDArray[np.float32] | None = None,
    weights: Weights | None = None,
    affinity: Mapping[str, float] | None = None,
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
        relevance: a cosine for each tool, or None on the keyword rung.
        weights: shares of relevance and keyword.
        affinity: what earlier outcomes say of tools, by id, from -1 to 1.
        limit: how many candidates to keep.
        subset: positions to rank; None ranks all.
        rung: the rung that `relevance` comes from.
        rung_reason: why no higher rung answered.
        elapsed_ms: time spent before, in milliseconds; the ranking's own time is added.
    """
    started = time.perf_counter()
    keyword = index.scores(task, context)
    scores = scored(tools, keyword, relevance, weights, affinity)
    order = order_of(scores, subset, limit)
    candidates = tuple(
        Candidate(
            tools[i],
            float(np.clip(scores[i], 0, 1)),
            float(keyword[i]),
            None if relevance is None else float(relevance[i]),
            (affinity or {}).get(tools[i].id, 0.0),
        )
        for i in map(int, order)
    )
    confidence, none_fits = 0.0, 1.0
    if candidates and candidates[0].score > 0:
        ranked = len(tools) if subset is None else len(subset)
        sure = certainty(features_of(index, task, keyword, relevance, scores, order, ranked), rung)
        confidence, none_fits = sure.right, sure.none_fits
    elapsed_ms += (time.perf_counter() - started) * 1000
    return Ranking(candidates, rung, rung_reason, confidence, none_fits, elapsed_ms)


def scored(
    tools: Sequence[Tool],
    keyword: Floats,
    relevance: Floats | None,
    weights: Weights | None = None,
    affinity: Mapping[str, float] | None = None,
) -> Floats:
    """The score of every tool: keyword and relevance blended, lifted by what earlier outcomes say."""
    blended = blend(keyword, relevance, weights or Weights())
    if not affinity:
        return blended
    lift = np.fromiter((affinity.get(tool.id, 0.0) for tool in tools), np.float32, len(tools))
    return (blended + AFFINITY_WEIGHT * lift).astype(np.float32)


def order_of(scores: Floats, subset: Sequence[int] | None, limit: int) -> NDArray[np.int64]:
    """Positions of the best scores, best first; equal scores keep the catalog's order."""
    positions = np.arange(len(scores)) if subset is None else np.unique(np.asarray(subset, np.int64))
    if len(positions) > 4 * limit:
        # Only what can be among the best is sorted: everything that reaches the limit-th value.
        least = np.partition(scores[positions], -limit)[-limit]
        positions = positions[scores[positions] >= least]
    return positions[np.argsort(-scores[positions], kind="stable")[:limit]].astype(np.int64)


def features_of(
    index: KeywordIndex,
    task: str,
    keyword: Floats,
    relevance: Floats | None,
    scores: Floats,
    order: NDArray[np.int64],
    ranked: int,
) -> tuple[float, ...]:
    """The features of a ranking for the confidence models; `order` holds at least one position."""
    named = index.names(task, int(order[0]))
    return features(scores, keyword, relevance, order, ranked, named=named)
