"""How well the ranking and the decisions do on a data set."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from tool_router.args.build import build
from tool_router.args.model import Draft
from tool_router.config import PolicySettings
from tool_router.effect import effect_of
from tool_router.evaluation.arguments import ArgumentReport, report_arguments
from tool_router.evaluation.calibration import calibration_error
from tool_router.evaluation.dataset import DataSet, EvalTask
from tool_router.policy import Thresholds, choose, decide
from tool_router.scoring.blend import Floats
from tool_router.scoring.keyword import KeywordIndex
from tool_router.scoring.rank import rank, scored
from tool_router.scoring.ranking import Candidate, Ranking, Rung

KEPT = 10
"""How many candidates a prediction lists."""

ACTED = ("execute", "confirm", "need_arguments")
"""Decisions that act on the first candidate: it is called, or put to a person, or asked for its arguments."""


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
        rung: the rung that ranked.
        ms_p50: the router's own time for a query; the embedding host's is not in it.
        executed: share of all tasks for which a tool would be acted on (the coverage).
        executed_right: of those, the share whose tool is right (the precision).
        false_executes: share of the tasks without a right tool for which one would be acted on.
        calibration_error: expected calibration error of the confidence, in ten bins.
    """

    name: str
    rung: str
    n: int
    top1: float | None
    hit5: float | None
    mrr: float | None
    ms_p50: float
    ms_p95: float
    build_ms: float
    executed: float
    executed_right: float | None
    false_executes: float | None
    calibration_error: float
    arguments: ArgumentReport | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Cosines:
    """The embed rung's part: the vectors of the tools, and one for each task."""

    of_query: Callable[[Floats], Floats]
    queries: Sequence[Floats]

    def of_task(self, number: int) -> Floats:
        """The cosine of every tool with a task."""
        return self.of_query(self.queries[number])


def evaluate(
    data: DataSet,
    *,
    cosines: Cosines | None = None,
    arguments: bool = False,
    policy: PolicySettings | None = None,
    now: datetime | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[SelectionReport, list[Prediction]]:
    """Rank every task of a data set and say what the router would do.

    Args:
        data: tools and tasks.
        cosines: relevance; None measures the keyword rung.
        arguments: whether to build arguments, for the tool the gold arguments are for.
        policy: thresholds; the defaults when None.
        now: the time that relative dates mean.
        on_progress: told how many tasks are done.
    """
    policy = policy or PolicySettings()
    lines = Thresholds(policy.read, policy.write, policy.destructive, policy.no_match)
    rung = Rung.KEYWORD if cosines is None else Rung.EMBED
    started = time.perf_counter()
    index = KeywordIndex.build(data.tools)
    build_ms = (time.perf_counter() - started) * 1000
    index.scores("warm up")
    predictions: list[Prediction] = []
    for number, task in enumerate(data.tasks):
        started = time.perf_counter()
        relevance = cosines.of_task(number) if cosines else None
        ranking = rank(
            data.tools,
            index,
            task.task,
            task.context,
            relevance=relevance,
            limit=KEPT,
            subset=task.candidates,
            rung=rung,
        )
        ms = (time.perf_counter() - started) * 1000
        place = place_of(data, task, scored(data.tools, index.scores(task.task, task.context), relevance))
        picked = choose(ranking, lines)
        draft = _draft(data, task, ranking, now) if arguments else None
        if isinstance(picked, Candidate):
            built = build(picked.tool, task.task, task.context, None, now) if arguments else Draft()
            kind = decide(picked.tool, built, effect_of(picked.tool), policy.confirm, named=False).kind
        else:
            kind = picked.kind
        predictions.append(Prediction(task, ranking, place, kind, draft, ms))
        on_progress(number + 1, len(data.tasks))
    return _report(data.name, rung, predictions, build_ms, arguments=arguments), predictions


def place_of(data: DataSet, task: EvalTask, scores: Floats) -> int | None:
    """Where the best accepted tool stands, 1 for first; a tie with another counts against it.

    None when no tool that is ranked is accepted.
    """
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


def _report(
    name: str, rung: Rung, predictions: list[Prediction], build_ms: float, *, arguments: bool
) -> SelectionReport:
    places = [prediction.place for prediction in predictions if not prediction.task.abstain]
    ranked = [place for place in places if place is not None]
    ms = [prediction.ms for prediction in predictions] or [0.0]
    acted = [item for item in predictions if item.decision in ACTED]
    infeasible = [item for item in predictions if item.place is None]
    right = sum(1 for item in acted if item.place == 1)
    drafts: list[tuple[Mapping[str, object], str, Draft]] = [
        (item.task.gold_arguments, item.task.gold_arguments_kind, item.draft)
        for item in predictions
        if item.task.gold_arguments is not None and item.draft is not None
    ]
    return SelectionReport(
        name=name,
        rung=rung.value,
        n=len(predictions),
        top1=_share(sum(place == 1 for place in ranked), len(places)),
        hit5=_share(sum(place <= 5 for place in ranked), len(places)),
        mrr=sum(1 / place for place in ranked) / len(places) if places else None,
        ms_p50=float(np.percentile(ms, 50)),
        ms_p95=float(np.percentile(ms, 95)),
        build_ms=build_ms,
        executed=len(acted) / len(predictions) if predictions else 0.0,
        executed_right=_share(right, len(acted)),
        false_executes=_share(sum(item.decision in ACTED for item in infeasible), len(infeasible)),
        calibration_error=calibration_error(
            [(item.ranking.confidence, item.place == 1) for item in predictions]
        ),
        arguments=report_arguments(drafts) if arguments and drafts else None,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
