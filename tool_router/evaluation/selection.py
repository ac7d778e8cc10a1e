"""How well the ranking and the decisions do on a data set."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from tool_router.args.build import build
from tool_router.args.model import Draft
from tool_router.config import PolicySettings
from tool_router.effect import effect_of
from tool_router.evaluation.arguments import ArgumentReport, report_arguments
from tool_router.evaluation.dataset import DataSet, EvalTask
from tool_router.policy import Thresholds, choose, decide
from tool_router.scoring.blend import Weights
from tool_router.scoring.keyword import KeywordIndex
from tool_router.scoring.rank import rank
from tool_router.scoring.ranking import Candidate, Ranking

KEPT = 10
"""How many candidates a prediction lists."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the router would do about one task."""

    task: EvalTask
    ranking: Ranking
    place: int | None
    decision: str
    draft: Draft | None
    ms: float


@dataclass(frozen=True, slots=True)
class SelectionReport:
    """Figures of one data set; shares in [0, 1], None where a set has nothing to measure.

    Attributes:
        executed: share of all tasks for which a tool would be executed or put to a person.
        executed_right: of those, the share whose tool is right.
    """

    name: str
    n: int
    top1: float | None
    hit5: float | None
    mrr: float | None
    ms_p50: float
    ms_p95: float
    build_ms: float
    executed: float
    executed_right: float | None
    arguments: ArgumentReport | None = None


def evaluate(
    data: DataSet,
    *,
    arguments: bool = False,
    policy: PolicySettings | None = None,
    now: datetime | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[SelectionReport, list[Prediction]]:
    """Rank every task of a data set by keywords and say what the router would do.

    Args:
        data: tools and tasks.
        arguments: whether to build arguments, for the tool the gold arguments are for.
        policy: thresholds; the defaults when None.
        now: the time that relative dates mean.
        on_progress: told how many tasks are done.
    """
    policy = policy or PolicySettings()
    lines = Thresholds(policy.read, policy.write, policy.destructive, policy.no_match)
    started = time.perf_counter()
    index = KeywordIndex.build(data.tools)
    build_ms = (time.perf_counter() - started) * 1000
    index.scores("warm up")
    predictions: list[Prediction] = []
    for done, task in enumerate(data.tasks, 1):
        started = time.perf_counter()
        ranking = rank(
            data.tools, index, task.task, task.context, weights=Weights(), limit=KEPT, subset=task.candidates
        )
        ms = (time.perf_counter() - started) * 1000
        place = _place(index, task, data)
        picked = choose(ranking, lines)
        draft = _draft(data, task, ranking, now) if arguments else None
        if isinstance(picked, Candidate):
            built = build(picked.tool, task.task, task.context, None, now) if arguments else Draft()
            kind = decide(picked.tool, built, effect_of(picked.tool), policy.confirm, named=False).kind
        else:
            kind = picked.kind
        predictions.append(Prediction(task, ranking, place, kind, draft, ms))
        on_progress(done, len(data.tasks))
    return _report(data.name, predictions, build_ms, arguments=arguments), predictions


def _place(index: KeywordIndex, task: EvalTask, data: DataSet) -> int | None:
    """Where the best accepted tool stands, 1 for first; a tie with another counts against it."""
    scores = index.scores(task.task, task.context)
    positions = range(len(data.tools)) if task.candidates is None else task.candidates
    accepted = [scores[i] for i in positions if data.tools[i].id in task.gold]
    if not accepted:
        return None
    best = max(accepted)
    return 1 + sum(1 for i in positions if data.tools[i].id not in task.gold and scores[i] >= best)


def _draft(data: DataSet, task: EvalTask, ranking: Ranking, now: datetime | None) -> Draft | None:
    if task.gold_arguments is not None and task.gold_tool is not None:
        tool = data.tools[task.gold_tool]
    elif ranking.candidates:
        tool = ranking.candidates[0].tool
    else:
        return None
    return build(tool, task.task, task.context, None, now)


def _report(name: str, predictions: list[Prediction], build_ms: float, *, arguments: bool) -> SelectionReport:
    places = [prediction.place for prediction in predictions if not prediction.task.abstain]
    ranked = [place for place in places if place is not None]
    ms = [prediction.ms for prediction in predictions] or [0.0]
    acted = [item for item in predictions if item.decision in ("execute", "confirm", "need_arguments")]
    right = sum(1 for item in acted if item.place == 1)
    drafts = [
        (item.task.gold_arguments, item.task.gold_arguments_kind, item.draft)
        for item in predictions
        if item.task.gold_arguments is not None and item.draft is not None
    ]
    return SelectionReport(
        name=name,
        n=len(predictions),
        top1=_share(sum(place == 1 for place in ranked), len(places)),
        hit5=_share(sum(place <= 5 for place in ranked), len(places)),
        mrr=sum(1 / place for place in ranked) / len(places) if places else None,
        ms_p50=float(np.percentile(ms, 50)),
        ms_p95=float(np.percentile(ms, 95)),
        build_ms=build_ms,
        executed=len(acted) / len(predictions) if predictions else 0.0,
        executed_right=_share(right, len(acted)),
        arguments=report_arguments(drafts) if arguments and drafts else None,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
