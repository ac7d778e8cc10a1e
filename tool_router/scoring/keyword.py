"""The keyword score: BM25F over a tool's fields, on numpy postings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tool_router.catalog.model import Tool
from tool_router.scoring.fields import texts_of
from tool_router.scoring.text import terms

Floats = NDArray[np.float32]

FIELD_WEIGHTS = {
    "name": 3.0,
    "title": 1.5,
    "server": 1.5,
    "description": 1.0,
    "parameters": 0.6,
    "parameter_texts": 0.4,
    "choices": 0.2,
}
K1 = 1.2
MAX_TASK_CHARS = 20_000
CONTEXT_WEIGHT = 0.3


@dataclass(frozen=True)
class KeywordIndex:
    """An immutable index over the tools of one catalog."""

    size: int
    postings: dict[str, tuple[NDArray[np.int32], Floats]]

    @classmethod
    def build(cls, tools: Sequence[Tool]) -> KeywordIndex:
        """Index the tools; positions in every result are positions in `tools`."""
        weights: dict[str, dict[int, float]] = {}
        for position, tool in enumerate(tools):
            texts = texts_of(tool)
            for field, weight in FIELD_WEIGHTS.items():
                for term in set(terms(getattr(texts, field))):
                    postings = weights.setdefault(term, {})
                    postings[position] = postings.get(position, 0.0) + weight
        size = len(tools)
        packed: dict[str, tuple[NDArray[np.int32], Floats]] = {}
        for term, found in weights.items():
            frequencies = np.fromiter(found.values(), np.float32, len(found))
            idf = np.log1p((size - len(found) + 0.5) / (len(found) + 0.5))
            packed[term] = (
                np.fromiter(found.keys(), np.int32, len(found)),
                (idf * frequencies / (K1 + frequencies)).astype(np.float32),
            )
        return cls(size, packed)

    def scores(self, task: str, context: str = "") -> Floats:
        """Score every tool for a task, in [0, 1], in the order of the tools."""
        totals = np.zeros(self.size, np.float32)
        asked = dict.fromkeys(terms(context[:MAX_TASK_CHARS]), CONTEXT_WEIGHT)
        asked.update(dict.fromkeys(terms(task[:MAX_TASK_CHARS]), 1.0))
        for term, weight in asked.items():
            if (found := self.postings.get(term)) is not None:
                totals[found[0]] += weight * found[1]
        return (totals / (totals + 10.0)).astype(np.float32)
