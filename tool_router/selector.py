"""Ranks the catalog for a task: keyword scores always, relevance where a provider answers in time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tool_router.config import Settings
from tool_router.scoring.ranking import Ranking, Rung

if TYPE_CHECKING:
    from tool_router.ai.judge import Judge
    from tool_router.ai.relevance import EmbedRelevance
    from tool_router.cache.decision import DecisionCache
    from tool_router.catalog.keeper import Snapshot
    from tool_router.learning.affinity import TaskView
    from tool_router.learning.recorder import Recorder
    from tool_router.scoring.blend import Floats

EMBED_SHARE = 0.2
"""The part of a request's remaining time that relevance may take at most: the call itself needs the rest."""
JUDGE_SHARE = 0.3
SHORTLIST = 8
"""How many candidates a judge sees: more would cost a small model its accuracy and a CPU its time."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """A ranking and what comes with it.

    Attributes:
        view: the task as outcomes compare it; None where nothing is learned.
        fallback: whether a rung that was wanted did not answer; such a ranking is not kept.
    """

    ranking: Ranking
    view: TaskView | None = None
    fallback: bool = False


class Selector:
    """Ranks snapshots of the catalog.

    Args:
        settings: weights, the length of the shortlist, when a judge is asked.
        relevance: the embed rung; None leaves it out.
        judge: the judge rung; None leaves it out.
        recorder: what earlier outcomes say; None leaves it out.
        decisions: keeps rankings; None computes each anew.
    """

    def __init__(
        self,
        settings: Settings,
        relevance: EmbedRelevance | None = None,
        judge: Judge | None = None,
        recorder: Recorder | None = None,
        decisions: DecisionCache | None = None,
    ) -> None:
        self._settings = settings
        self._relevance = relevance
        self._judge = judge
        self._recorder = recorder
        self._decisions = decisions
        # What of the settings a ranking depends on; thresholds only decide what is done with it.
        parts = (settings.selection, settings.judge, settings.learning)
        self._policy = "\n".join(part.model_dump_json() for part in parts)

    async def rank(self, snapshot: Snapshot, task: str, context: str, budget_s: float) -> Selection:
        """Rank every tool of the snapshot for the task, or take the ranking from the decision cache.

        Args:
            snapshot: the catalog with its keyword index.
            task: what should be done.
            context: what else is known; counts less than the task.
            budget_s: the request's remaining time, in seconds.
        """
        if self._decisions is None:
            return await self._computed(snapshot, task, context, budget_s)
        from tool_router.cache.decision_key import DecisionKey

        computed: list[Selection] = []

        async def compute() -> tuple[Ranking, bool]:
            computed.append(await self._computed(snapshot, task, context, budget_s))
            return computed[0].ranking, not computed[0].fallback

        key = DecisionKey(
            task,
            context,
            catalog=snapshot.catalog.fingerprint,
            policy=f"{self._policy}\n{self._recorder.revision if self._recorder else ''}",
            models=tuple(rung.model_key for rung in (self._relevance, self._judge) if rung is not None),
        )
        ranking = await self._decisions.rank(key, snapshot.catalog, compute)
        if computed:
            return replace(computed[0], ranking=ranking)
        return Selection(ranking, self._recorder.view(task, None) if self._recorder else None)

    async def _computed(self, snapshot: Snapshot, task: str, context: str, budget_s: float) -> Selection:
        """The ranking as the rungs give it now; never fails because of a provider."""
        # numpy and rapidfuzz stay out of the process until the first ranking: they would delay `initialize`.
        from tool_router.scoring.blend import Weights
        from tool_router.scoring.rank import rank

        started = time.perf_counter()
        scores: Floats | None = None
        vector: Floats | None = None
        reason = ""
        if self._relevance is not None:
            found = await self._relevance.scores(task, context, snapshot.catalog, budget_s * EMBED_SHARE)
            scores, reason = found.scores, found.reason
            vector = found.query.vector if found.query else None
        view = self._recorder.view(task, vector) if self._recorder else None
        selection = self._settings.selection
        ranking = rank(
            snapshot.catalog.tools,
            snapshot.index,
            task,
            context,
            relevance=scores,
            weights=Weights(selection.relevance_weight, selection.keyword_weight),
            affinity=self._affinities(view),
            limit=selection.shortlist,
            rung=Rung.KEYWORD if scores is None else Rung.EMBED,
            rung_reason=reason,
            elapsed_ms=(time.perf_counter() - started) * 1000,
        )
        judged = await self._judged(ranking, task, context, budget_s * JUDGE_SHARE)
        # A reason says that a rung which was wanted did not answer.
        return Selection(judged, view, fallback=bool(judged.rung_reason))

    def _affinities(self, view: TaskView | None) -> Mapping[str, float] | None:
        """What outcomes say of tools; None where they are not asked."""
        if self._recorder is None or view is None or not self._settings.learning.affinity:
            return None
        return self._recorder.affinities(view)

    async def _judged(self, ranking: Ranking, task: str, context: str, budget_s: float) -> Ranking:
        """The ranking as a judge sees it, where one is needed and answers in time."""
        if self._judge is None or not self._is_close(ranking):
            return ranking
        from tool_router.scoring.verdict import judged, unjudged

        started = time.perf_counter()
        shortlist = [candidate.tool for candidate in ranking.candidates[:SHORTLIST]]
        judgement = await self._judge.judge(task, context, shortlist, budget_s)
        elapsed_ms = (time.perf_counter() - started) * 1000
        if judgement.probabilities is None:
            return unjudged(ranking, judgement.reason, elapsed_ms)
        return judged(ranking, judgement.probabilities, judgement.none_fits, elapsed_ms)

    def _is_close(self, ranking: Ranking) -> bool:
        if len(ranking.candidates) < 2:
            return False
        first = ranking.candidates[0].score
        return first > 0 and ranking.margin < self._settings.judge.margin * first
