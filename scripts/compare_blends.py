#!/usr/bin/env python3
"""Compare ways to bring keyword scores and cosines onto one scale before they are blended 0.3 to 0.7.

usage: scripts/compare_blends.py DIR [DIR ...] --relevance URL [--store FILE] [--sample N]

Each DIR is a data set; --relevance names an Ollama host, such as scripts/minilm_server. Prints top-1 in
percent for each way and set, ties against us, and the mean over the sets. --sample takes every k-th task of
larger sets.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
import numpy as np

from tool_router.ai.ollama import OllamaProvider
from tool_router.cache.store import Store
from tool_router.evaluation.dataset import DataSet, load
from tool_router.evaluation.relevance import SetEmbedder
from tool_router.evaluation.selection import place_of
from tool_router.scoring.blend import Floats, Weights, blend
from tool_router.scoring.keyword import KeywordIndex

Blend = Callable[[Floats, Floats], Floats]
SHARE = Weights().relevance


def min_max(scores: Floats) -> Floats:
    """Spread linearly over [0, 1]."""
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def reciprocal_rank(scores: Floats) -> Floats:
    """1 / (60 + rank), as in reciprocal rank fusion (Cormack et al. 2009)."""
    ranks = np.empty(len(scores), np.float32)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return (1 / (60 + ranks)).astype(np.float32)


def mixed(relevance: Floats, keyword: Floats) -> Floats:
    """The weighted mean of two scores."""
    return (SHARE * relevance + (1 - SHARE) * keyword).astype(np.float32)


WAYS: Mapping[str, Blend] = {
    "keyword alone": lambda keyword, relevance: keyword,
    "relevance alone": lambda keyword, relevance: relevance,
    "as they are": lambda keyword, relevance: mixed(relevance, keyword),
    "min-max of relevance": lambda keyword, relevance: mixed(min_max(relevance), keyword),
    "min-max of both": lambda keyword, relevance: mixed(min_max(relevance), min_max(keyword)),
    "reciprocal ranks": lambda keyword, relevance: mixed(
        reciprocal_rank(relevance), reciprocal_rank(keyword)
    ),
    "only the best gets relevance": lambda keyword, relevance: mixed(
        (relevance >= relevance.max()).astype(np.float32), keyword
    ),
    "mean and spread (chosen)": lambda keyword, relevance: blend(keyword, relevance, Weights()),
}
"""The ways that are compared; "only the best" is what a model that picks one tool amounts to."""


def main() -> None:
    """Measure every way on every set and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directories", nargs="+", type=Path)
    parser.add_argument("--relevance", required=True, metavar="URL")
    parser.add_argument("--store", type=Path, default=None, metavar="FILE", help="keeps vectors between runs")
    parser.add_argument("--sample", type=int, default=700, metavar="N", help="tasks of one set at most")
    given = parser.parse_args()
    sets = [load(directory) for directory in given.directories]
    shares = anyio.run(measure, sets, given.relevance, given.store, given.sample)
    print("| way | " + " | ".join(data.name for data in sets) + " | mean |")
    print("|---|" + "---|" * (len(sets) + 1))
    for way in WAYS:
        row = [of_set[way] for of_set in shares]
        print(f"| {way} | " + " | ".join(f"{share:.1f}" for share in (*row, float(np.mean(row)))) + " |")


async def measure(sets: list[DataSet], host: str, store: Path | None, sample: int) -> list[dict[str, float]]:
    """Top-1 in percent of every way, for each set."""
    provider = OllamaProvider(host)
    try:
        async with Store.open(store) as kept:
            embedder = SetEmbedder(provider, await provider.embedding_model(), kept)
            return [await of_set(data, embedder, sample) for data in sets]
    finally:
        await provider.aclose()


async def of_set(data: DataSet, embedder: SetEmbedder, sample: int) -> dict[str, float]:
    """Top-1 in percent of every way on one set."""
    tasks = data.tasks[:: max(1, len(data.tasks) // sample)]
    vectors = await embedder.tools(data.tools)
    queries = await embedder.tasks(tasks)
    index = KeywordIndex.build(data.tools)
    right = dict.fromkeys(WAYS, 0)
    for task, query in zip(tasks, queries, strict=True):
        keyword, relevance = index.scores(task.task, task.context), vectors.cosines(query)
        for way, joined in WAYS.items():
            right[way] += place_of(data, task, joined(keyword, relevance)) == 1
    return {way: 100 * count / len(tasks) for way, count in right.items()}


if __name__ == "__main__":
    main()
