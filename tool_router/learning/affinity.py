"""What earlier outcomes of similar tasks say about tools. Pure: takes values and the time.

A new task is compared with those that were done before; the tools that did the most similar ones well are
lifted, those that failed at them lowered. Popularity alone lifts nothing: an outcome counts by how similar
its task is, and a task without similar ones changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tool_router.ai.vectors import dots
from tool_router.learning.outcome import Outcome, Verdict
from tool_router.learning.task_words import DIMENSION

Floats = NDArray[np.float32]

EVIDENCE: Mapping[Verdict, float] = {
    Verdict.SUCCEEDED: 0.5,
    Verdict.FAILED: -0.3,
    Verdict.REPLACED: -0.7,
    Verdict.GOOD: 1.0,
    Verdict.BAD: -1.0,
}
"""How much a verdict says about the choice of the tool: a call that merely succeeded may still have been the
wrong one, and a tool's own error is often its arguments' fault."""

NEIGHBOURS = 10
LEAST_SIMILARITY = 0.3
DOUBT = 0.2
"""Added to the weight of all neighbours, so that one that is barely similar decides little."""
WORDS_SHARE = 0.25
"""Share of the words in the similarity of two tasks where a model gave vectors for both; else all of it."""
OTHER_CATEGORY = 0.7
"""Factor for an outcome of another category of tasks."""
HALF_LIFE_S = 30 * 86_400.0
CAPACITY = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class TaskView:
    """A task as it is compared: its words, its category, and a model's vector where there is one."""

    words: Floats
    category: str = ""
    vector: Floats | None = None


class AffinityIndex:
    """The latest outcomes, searchable by similarity of their tasks. Forgets the oldest beyond `capacity`.

    Memory is taken as it fills: about 2 KB for an outcome by words, 4 KB with vectors.
    """

    def __init__(self, capacity: int = CAPACITY, half_life_s: float = HALF_LIFE_S) -> None:
        self._capacity = capacity
        self._half_life_s = half_life_s
        self._words = np.zeros((0, DIMENSION), np.float32)
        self._vectors = np.zeros((0, 0), np.float32)
        self._at = np.zeros(0, np.float64)
        self._verdicts: list[Verdict] = []
        self._revision = 0
        self._tools: list[str] = []
        self._categories: list[str] = []
        self._places: dict[str, int] = {}
        self._ids: list[str] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def revision(self) -> str:
        """Changes with every verdict that says more than that a call went well; equal for equal verdicts."""
        return f"{self._revision:016x}"

    def add(self, outcome: Outcome, view: TaskView) -> None:
        """Remember an outcome; one with a known id replaces it."""
        place = self._places.get(outcome.id)
        if place is None:
            place = self._take_place(outcome.id)
        self._words[place] = view.words
        self._set_vector(place, view.vector)
        self._at[place] = outcome.at
        self._set_verdict(place, outcome.verdict)
        self._tools[place] = outcome.tool_id
        self._categories[place] = outcome.category

    def judge(self, outcome_id: str, verdict: Verdict) -> bool:
        """Change the verdict of an outcome; False when it is not known (any more)."""
        place = self._places.get(outcome_id)
        if place is None:
            return False
        self._set_verdict(place, verdict)
        return True

    def verdict(self, outcome_id: str) -> Verdict | None:
        """The verdict of an outcome; None when it is not known (any more)."""
        place = self._places.get(outcome_id)
        return None if place is None else self._verdicts[place]

    def affinities(self, view: TaskView, now: float) -> dict[str, float]:
        """What outcomes of similar tasks say of tools, by id, from -1 to 1; a tool without any is absent.

        Args:
            view: the task.
            now: Unix time, in seconds.
        """
        size = len(self._ids)
        if not size:
            return {}
        similar = self._similarities(view)
        count = min(NEIGHBOURS, size)
        nearest = np.argpartition(-similar, count - 1)[:count]
        found: dict[str, float] = {}
        whole = DOUBT
        for place in map(int, nearest):
            closeness = max(0.0, (float(similar[place]) - LEAST_SIMILARITY) / (1 - LEAST_SIMILARITY)) ** 2
            if not closeness:
                continue
            age_s = max(0.0, now - float(self._at[place]))
            weight = closeness * 0.5 ** (age_s / self._half_life_s)
            if view.category and self._categories[place] and self._categories[place] != view.category:
                weight *= OTHER_CATEGORY
            tool = self._tools[place]
            found[tool] = found.get(tool, 0.0) + weight * EVIDENCE[self._verdicts[place]]
            whole += weight
        return {tool: value / whole for tool, value in found.items()}

    def _similarities(self, view: TaskView) -> Floats:
        size = len(self._ids)
        by_words = dots(self._words[:size], view.words)
        if view.vector is None or self._vectors.shape[1] != len(view.vector):
            return by_words
        vectors = self._vectors[:size]
        by_vector = dots(vectors, view.vector)
        blended = WORDS_SHARE * by_words + (1 - WORDS_SHARE) * by_vector
        return np.where(vectors.any(axis=1), blended, by_words)

    def _take_place(self, outcome_id: str) -> int:
        if len(self._ids) < self._capacity:
            place = len(self._ids)
            self._grow(place + 1)
            self._ids.append(outcome_id)
            self._tools.append("")
            self._categories.append("")
            self._verdicts.append(Verdict.SUCCEEDED)
        else:
            place = self._next
            self._next = (self._next + 1) % self._capacity
            self._set_verdict(place, Verdict.SUCCEEDED)
            del self._places[self._ids[place]]
            self._ids[place] = outcome_id
        self._places[outcome_id] = place
        return place

    def _set_verdict(self, place: int, verdict: Verdict) -> None:
        # Exclusive or: the order in which verdicts became known does not matter, and each can be taken out.
        self._revision ^= _mark(self._ids[place], self._verdicts[place]) ^ _mark(self._ids[place], verdict)
        self._verdicts[place] = verdict

    def _grow(self, least: int) -> None:
        if least <= len(self._at):
            return
        size = min(self._capacity, max(64, 2 * len(self._at), least))
        self._words = _resized(self._words, size)
        self._vectors = _resized(self._vectors, size)
        self._at = np.concatenate([self._at, np.zeros(size - len(self._at))])

    def _set_vector(self, place: int, vector: Floats | None) -> None:
        if vector is not None and self._vectors.shape[1] != len(vector):
            # Vectors of another model can't be compared with these; their tasks go on by words alone.
            self._vectors = np.zeros((len(self._at), len(vector)), np.float32)
        if self._vectors.shape[1]:
            self._vectors[place] = 0.0 if vector is None else vector


def _mark(outcome_id: str, verdict: Verdict) -> int:
    """A number for a verdict; 0 for one that says no more than that a call went well."""
    if verdict is Verdict.SUCCEEDED:
        return 0
    return int.from_bytes(hashlib.blake2b(f"{outcome_id} {verdict}".encode(), digest_size=8).digest())


def _resized(matrix: Floats, rows: int) -> Floats:
    grown = np.zeros((rows, matrix.shape[1]), np.float32)
    grown[: len(matrix)] = matrix
    return grown
