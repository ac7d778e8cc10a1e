"""What learning from outcomes gains: a stream of tasks, each answered before its feedback is known."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tool_router.catalog.model import Catalog
from tool_router.evaluation.dataset import DataSet
from tool_router.evaluation.selection import Cosines, place_of
from tool_router.learning.affinity import AffinityIndex, TaskView
from tool_router.learning.category import CueCategories
from tool_router.learning.outcome import Outcome, Verdict
from tool_router.learning.task_words import task_words
from tool_router.scoring.keyword import KeywordIndex
from tool_router.scoring.rank import scored

QUARTERS = 4
SEED = 0
"""Data sets list their tasks tool by tool; a person's day does not, so the stream is shuffled."""


@dataclass(frozen=True, slots=True)
class LearningReport:
    """Top-1 accuracy by quarter of the stream, shares in [0, 1]."""

    name: str
    rung: str
    n: int
    without: tuple[float, ...]
    learning: tuple[float, ...]


def replay(
    data: DataSet,
    *,
    cosines: Cosines | None = None,
    seed: int = SEED,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> LearningReport:
    """Answer the tasks one after the other; after each its right tool is known, as a person's feedback.

    Args:
        data: tools and tasks; tasks without a right tool are left out.
        cosines: relevance; None measures the keyword rung.
        seed: of the order of the stream.
        on_progress: told how many tasks are done.
    """
    stream = [number for number, task in enumerate(data.tasks) if task.gold]
    random.Random(seed).shuffle(stream)  # noqa: S311  # an order, not a secret
    index = KeywordIndex.build(data.tools)
    affinity = AffinityIndex()
    detector = CueCategories(Catalog(data.tools))
    right: dict[bool, list[bool]] = {False: [], True: []}
    for at, number in enumerate(stream):
        task = data.tasks[number]
        keyword = index.scores(task.task, task.context)
        relevance = cosines.of_task(number) if cosines else None
        view = TaskView(
            task_words(task.task),
            detector.category(task.task),
            cosines.queries[number] if cosines else None,
        )
        lifts = affinity.affinities(view, now=0.0)
        for learning, known in ((False, {}), (True, lifts)):
            scores = scored(data.tools, keyword, relevance, affinity=known)
            right[learning].append(place_of(data, task, scores) == 1)
        told = min(task.gold)
        affinity.add(Outcome(task.id, 0.0, data.name, task.task, view.category, told, Verdict.GOOD), view)
        on_progress(at + 1, len(stream))
    return LearningReport(
        data.name,
        "keyword" if cosines is None else "embed",
        len(stream),
        _by_quarter(right[False]),
        _by_quarter(right[True]),
    )


def _by_quarter(right: list[bool]) -> tuple[float, ...]:
    size = len(right)
    parts = [right[size * part // QUARTERS : size * (part + 1) // QUARTERS] for part in range(QUARTERS)]
    return tuple(sum(part) / len(part) if part else 0.0 for part in parts)
