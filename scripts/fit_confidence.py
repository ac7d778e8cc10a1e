#!/usr/bin/env python3
"""Fit the confidence models on labelled tasks and write tool_router/scoring/confidence.json.

usage: scripts/fit_confidence.py DIR [DIR ...] [--relevance URL] [--store FILE] [--write]

Each DIR is a data set (tools.jsonl, tasks.jsonl). Tasks on the whole catalog are joined by the same tasks on
small catalogs of ten random servers, with and without the right server, because most people have few servers
and often none that fits. Prints, for each rung and for both
questions (is the first candidate right, does no tool fit), a reliability table of five-fold cross-validation
and the expected calibration error; --write replaces the coefficients of the rungs that were fitted.

--relevance names an Ollama host and fits the embed rung as well; scripts/minilm_server is one.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from numpy.typing import NDArray

from tool_router.ai.ollama import OllamaProvider
from tool_router.ai.provider import Vectors
from tool_router.cache.store import Store
from tool_router.catalog.model import Tool
from tool_router.evaluation.dataset import DataSet, EvalTask, load
from tool_router.evaluation.relevance import SetEmbedder
from tool_router.scoring import confidence
from tool_router.scoring.keyword import KeywordIndex
from tool_router.scoring.rank import features_of, order_of, scored
from tool_router.scoring.ranking import Rung

FOLDS = 5
RIDGE = 1e-3
SERVERS = 10
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """One ranking: its features, whether its first tool is right, whether none fits."""

    features: tuple[float, ...]
    right: bool
    none_fits: bool


def main() -> None:
    """Read the sets, cross-validate, print, and write when asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directories", nargs="+", type=Path)
    parser.add_argument("--relevance", default="", metavar="URL")
    parser.add_argument("--store", type=Path, default=None, metavar="FILE", help="keeps vectors between runs")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    path = Path(confidence.__file__).with_name("confidence.json")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if tuple(document["features"]) != confidence.FEATURES:
        document = {"features": confidence.FEATURES, "coefficients": {}}
    for rung in (Rung.KEYWORD, Rung.EMBED) if given.relevance else (Rung.KEYWORD,):
        rows = anyio.run(read, given.directories, given.relevance if rung is Rung.EMBED else "", given.store)
        random.Random(0).shuffle(rows)
        x = np.array([row.features for row in rows])
        fitted: dict[str, list[float]] = {}
        for question in ("right", "none_fits"):
            y = np.array([getattr(row, question) for row in rows], float)
            print(f"\n{rung.value}, {question}: {len(rows)} rankings")
            report(cross_validated(x, y), y)
            fitted[question] = np.round(fit(x, y), 6).tolist()
        document["coefficients"][rung.value] = fitted
    if given.write:
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


async def read(directories: list[Path], host: str, store: Path | None) -> list[Row]:
    """The rankings of every set, on the keyword rung or with the vectors of a host."""
    rows: list[Row] = []
    provider = OllamaProvider(host) if host else None
    try:
        async with Store.open(store) as kept:
            embedder = SetEmbedder(provider, await provider.embedding_model(), kept) if provider else None
            for directory in directories:
                rows += await rankings(load(directory), embedder)
    finally:
        if provider is not None:
            await provider.aclose()
    return rows


async def rankings(data: DataSet, embedder: SetEmbedder | None) -> list[Row]:
    """Every task on the set's own catalog (or candidates), and on a few of its servers."""
    queries: list[Vectors] | None = await embedder.tasks(data.tasks) if embedder else None
    index = KeywordIndex.build(data.tools)
    vectors = await embedder.tools(data.tools) if embedder else None
    rows: list[Row] = []
    for number, task in enumerate(data.tasks):
        relevance = vectors.cosines(queries[number]) if vectors and queries else None
        rows.append(row_of(data.tools, index, task, relevance, task.candidates))
    chance = random.Random(1)
    servers = sorted({tool.server for tool in data.tools})
    if len(servers) < 3 * SERVERS:
        return rows
    for number, task in enumerate(data.tasks):
        golden = {tool.server for tool in data.tools if tool.id in task.gold}
        chosen = set(chance.sample(servers, SERVERS)) - golden
        if golden and number % 2:
            chosen.add(chance.choice(sorted(golden)))
        tools = [tool for tool in data.tools if tool.server in chosen]
        some = await embedder.tools(tools) if embedder else None
        relevance = some.cosines(queries[number]) if some and queries else None
        rows.append(row_of(tools, KeywordIndex.build(tools), task, relevance, None))
    return rows


def row_of(
    tools: list[Tool] | tuple[Tool, ...],
    index: KeywordIndex,
    task: EvalTask,
    relevance: Vectors | None,
    subset: tuple[int, ...] | None,
) -> Row:
    """One ranking with its labels."""
    keyword = index.scores(task.task, task.context)
    scores = scored(tools, keyword, relevance)
    order = order_of(scores, subset, 10)
    ranked = range(len(tools)) if subset is None else subset
    found = features_of(index, task.task, keyword, relevance, scores, order, len(ranked))
    fits = any(tools[position].id in task.gold for position in ranked)
    return Row(found, tools[int(order[0])].id in task.gold, not fits)


def cross_validated(x: Floats, y: Floats) -> Floats:
    """What models that have not seen a ranking say of it."""
    folds = np.arange(len(y)) % FOLDS
    predicted = np.zeros(len(y))
    for fold in range(FOLDS):
        seen = folds != fold
        predicted[~seen] = sigmoid(x[~seen] @ fit(x[seen], y[seen]))
    return predicted


def fit(x: Floats, y: Floats) -> Floats:
    """Logistic regression by Newton's method, with a small ridge."""
    found: Floats = np.zeros(int(x.shape[1]))
    for _ in range(50):
        found = improved(x, y, found)
    return found


def improved(x: Floats, y: Floats, found: Floats) -> Floats:
    """The coefficients after one more step of Newton's method."""
    p = sigmoid(x @ found)
    gradient = x.T @ (y - p) / len(y) - RIDGE * found
    curvature = (x * (p * (1 - p))[:, None]).T @ x / len(y) + RIDGE * np.eye(x.shape[1])
    return found + np.linalg.solve(curvature, gradient).astype(np.float64)


def sigmoid(values: Floats) -> Floats:
    """The logistic function, without overflow."""
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))


def report(predicted: Floats, y: Floats) -> None:
    """Print the reliability table and the expected calibration error."""
    error = 0.0
    print("probability   n     said   true")
    for low in np.arange(0, 1, 0.1):
        inside = (predicted >= low) & (predicted < low + 0.1)
        if inside.any():
            said, right = predicted[inside].mean(), y[inside].mean()
            error += inside.mean() * abs(said - right)
            print(f"{low:.1f} - {low + 0.1:.1f} {inside.sum():6d}   {said:.3f}   {right:.3f}")
    print(f"expected calibration error {error:.4f}")


if __name__ == "__main__":
    main()
