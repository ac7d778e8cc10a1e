"""Ranks the catalog for a task: keyword scores always, relevance where a provider answers in time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tool_router.config import SelectionSettings
from tool_router.scoring.ranking import Ranking, Rung

if TYPE_CHECKING:
    from tool_router.ai.relevance import EmbedRelevance
    from tool_router.catalog.keeper import Snapshot

RELEVANCE_SHARE = 0.2
"""The part of a request's remaining time that relevance may take at most: the call itself needs the rest."""


class Selector:
    """Ranks snapshots of the catalog.

    Args:
        settings: weights and the length of the shortlist.
        relevance: the embed rung; None ranks by keyword alone.
    """

    def __init__(self, settings: SelectionSettings, relevance: EmbedRelevance | None) -> None:
        self._settings = settings
        self._relevance = relevance

    async def rank(self, snapshot: Snapshot, task: str, context: str, budget_s: float) -> Ranking:
        """Rank every tool of the snapshot for the task; never fails because of a provider.

        Args:
            snapshot: the catalog with its keyword index.
            task: what should be done.
            context: what else is known; counts less than the task.
            budget_s: the request's remaining time, in seconds.
        """
        # numpy and rapidfuzz stay out of the process until the first ranking: they would delay `initialize`.
        from tool_router.scoring.blend import Weights
        from tool_router.scoring.rank import rank

        started = time.perf_counter()
        rung, reason, scores = Rung.KEYWORD, "", None
        if self._relevance is not None:
            budget = budget_s * RELEVANCE_SHARE
            relevance = await self._relevance.scores(task, context, snapshot.catalog, budget)
            scores, reason = relevance.scores, relevance.reason
            rung = Rung.KEYWORD if scores is None else Rung.EMBED
        return rank(
            snapshot.catalog.tools,
            snapshot.index,
            task,
            context,
            relevance=scores,
            weights=Weights(self._settings.relevance_weight, self._settings.keyword_weight),
            limit=self._settings.shortlist,
            rung=rung,
            rung_reason=reason,
            elapsed_ms=(time.perf_counter() - started) * 1000,
        )
