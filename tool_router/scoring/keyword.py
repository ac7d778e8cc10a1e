"""The keyword score: BM25F over a tool's fields, on numpy postings, with rapidfuzz for words nobody wrote."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from tool_router.catalog.model import Tool
from tool_router.scoring.fields import texts_of
from tool_router.scoring.mentions import Mentions
from tool_router.scoring.text import MAX_TASK_CHARS, forms, stem, terms, without_values
from tool_router.scoring.vocabulary import ACTIONS, FUNCTION_TERMS, VERB_CLASSES

Floats = NDArray[np.float32]

FIELD_WEIGHTS: Mapping[str, float] = {
    "name": 5.59,
    "title": 1.0,
    "server": 2.0,
    "description": 2.1,
    "parameters": 1.03,
    "parameter_texts": 0.59,
    "choices": 0.77,
}
"""How much a word counts where it stands (BM25F, Robertson and Zaragoza 2009), chosen on the dev data."""

LENGTH_NORMS: Mapping[str, float] = {
    "name": 0.42,
    "title": 0.58,
    "server": 0.23,
    "description": 0.6,
    "parameters": 0.57,
    "parameter_texts": 0.95,
    "choices": 0.6,
}
"""How much a long field dilutes its words, 0 to 1 (the b of BM25F)."""

K1 = 0.241
"""Saturation: the share of a term's weight that one plain mention gives is tf / (tf + K1)."""

PAIR_WEIGHT = 0.425
"""Weight of two content words that stand side by side, in the task as in the tool, beside their own."""

MAX_TERMS = 400
CONTEXT_WEIGHT = 0.41
FUNCTION_WEIGHT = 0.15
VALUE_WEIGHT = 0.35
"""Weight of words inside quotes, addresses and paths: values for a tool more often than its subject."""
VERB_WEIGHT = 0.383
"""Weight of a verb that means nearly the same as one in the task."""
FUZZY_WEIGHT = 0.396
FUZZY_CUTOFF = 84.0
"""Least rapidfuzz ratio (0-100) at which an unknown word is taken for a known one."""

OTHER_ACTION = 0.9
"""Factor for a tool whose name opens with another kind of action than the task: deleting is not listing."""
DEPRECATED = 0.8
"""Factor for a tool whose description says that it is deprecated: its successor is usually there as well."""
KNEE = 0.7
"""The sum from which on scores are squashed: bonuses may lift it above 1."""

_DEPRECATED = re.compile(r"\bdeprecated\b", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class KeywordIndex:
    """An immutable index over the tools of one catalog.

    Attributes:
        size: how many tools.
        postings: for each term the tools that have it and its saturated weight there, in [0, 1).
        idf: for each term how telling it is.
        unseen_idf: the same for a term no tool has.
        vocabulary: the terms an unknown word may be taken for.
        glued: for two neighbouring words of a name, written as one, their terms.
        mentions: where names of tools and servers are found.
        deprecated: which tools say that they are.
        actions: for each tool the kind of action its name opens with; 0 when it names none.
    """

    size: int
    postings: Mapping[str, tuple[NDArray[np.int32], Floats]]
    idf: Mapping[str, float]
    unseen_idf: float
    vocabulary: tuple[str, ...]
    glued: Mapping[str, tuple[str, ...]]
    mentions: Mentions
    actions: NDArray[np.int8]
    deprecated: NDArray[np.bool_]

    @classmethod
    def build(cls, tools: Sequence[Tool]) -> KeywordIndex:
        """Index the tools; positions in every result are positions in `tools`."""
        weights: dict[str, dict[int, float]] = {}
        texts = [texts_of(tool) for tool in tools]
        fields = {name: [_counted(getattr(text, name), name) for text in texts] for name in FIELD_WEIGHTS}
        for name, counts in fields.items():
            lengths = np.array(
                [sum(n for term, n in count.items() if " " not in term) for count in counts], np.float32
            )
            filled = lengths[lengths > 0]
            mean = float(filled.mean()) if filled.size else 1.0
            b, weight = LENGTH_NORMS[name], FIELD_WEIGHTS[name]
            for position, count in enumerate(counts):
                scale = weight / (1 - b + b * float(lengths[position]) / mean)
                for term, frequency in count.items():
                    found = weights.setdefault(term, {})
                    found[position] = found.get(position, 0.0) + scale * min(frequency, 4)
        size = len(tools)
        postings: dict[str, tuple[NDArray[np.int32], Floats]] = {}
        idf: dict[str, float] = {}
        for term, found in weights.items():
            frequencies = np.fromiter(found.values(), np.float32, len(found))
            idf[term] = float(np.log1p((size - len(found) + 0.5) / (len(found) + 0.5)))
            postings[term] = (
                np.fromiter(found.keys(), np.int32, len(found)),
                (frequencies / (K1 + frequencies)).astype(np.float32),
            )
        vocabulary = tuple(t for t in postings if len(t) > 3 and not t.isdecimal() and " " not in t)
        unseen = float(np.log1p((size + 0.5) / 0.5))
        actions = np.array([_action(terms(tool.name)[:3]) for tool in tools], np.int8)
        return cls(
            size,
            postings,
            idf,
            unseen,
            vocabulary,
            _glued(tools),
            Mentions.build(tools, idf),
            actions,
            np.array([bool(_DEPRECATED.search(text.description)) for text in texts], np.bool_),
        )

    def scores(self, task: str, context: str = "") -> Floats:
        """Score every tool for a task, in [0, 1], in the order of the tools.

        The score is the share of the task's weight that the tool's text covers, plus what is added for names.
        """
        totals = np.zeros(self.size, np.float32)
        if not self.size:
            return totals
        task = task[:MAX_TASK_CHARS]
        spoken = without_values(task)
        said = terms(spoken)[:MAX_TERMS]
        asked = self._asked(task, said, context)
        whole = 0.0
        for term, weight in asked.items():
            mass = weight * self.idf.get(term, self.unseen_idf)
            if " " not in term:
                whole += mass
            if (found := self.postings.get(term)) is not None:
                totals[found[0]] += mass * found[1]
        if whole > 0:
            totals /= whole
        self.mentions.add(spoken, asked, whole, totals)
        for positions, bonus in self._spelled(task):
            totals[positions] += bonus
        if action := _action(said):
            totals[(self.actions != action) & (self.actions != 0)] *= OTHER_ACTION
        totals[self.deprecated] *= DEPRECATED
        return _squashed(totals)

    def names(self, task: str, position: int) -> bool:
        """Whether the task spells the name or the server of the tool at a position."""
        return any(position in found for found, _ in self._spelled(task[:MAX_TASK_CHARS]))

    def _asked(self, task: str, said: Sequence[str], context: str) -> dict[str, float]:
        """The weight of each term that is asked for; `said` are those of the task without its values."""
        asked: dict[str, float] = {}
        in_task = terms(task)[:MAX_TERMS]
        in_context = terms(context[:MAX_TASK_CHARS])[:MAX_TERMS]
        for found, weight in ((said, 1.0), (in_task, VALUE_WEIGHT), (in_context, CONTEXT_WEIGHT)):
            for term in found:
                if found is in_task and term not in asked and term not in self.postings:
                    # A value no tool knows of says nothing about how well a tool covers the task.
                    continue
                share = weight * (FUNCTION_WEIGHT if term in FUNCTION_TERMS else 1.0)
                if share > asked.get(term, 0.0):
                    asked[term] = share
        for term, weight in list(asked.items()):
            for sibling in VERB_CLASSES.get(term, ()):
                if sibling in self.postings:
                    asked.setdefault(sibling, weight * VERB_WEIGHT)
            if term not in self.postings and len(term) > 3 and not term.isdecimal():
                self._resolve(term, weight, asked)
        asked |= {pair: PAIR_WEIGHT for pair in _pairs(said) if pair in self.postings}
        return asked

    def _resolve(self, term: str, weight: float, asked: dict[str, float]) -> None:
        """Take a word no tool has for the words it glues together, or for the most similar known one."""
        if (parts := self.glued.get(term)) is not None:
            del asked[term]
            asked |= {part: max(weight, asked.get(part, 0.0)) for part in parts}
            return
        known = process.extractOne(term, self.vocabulary, scorer=fuzz.ratio, score_cutoff=FUZZY_CUTOFF)
        if known is not None:
            del asked[term]
            asked.setdefault(known[0], weight * FUZZY_WEIGHT)

    def _spelled(self, task: str) -> Iterable[tuple[NDArray[np.int32], float]]:
        return self.mentions.spelled(terms(task)[:MAX_TERMS])


def _action(found: Sequence[str]) -> int:
    """The kind of action the first verb stands for; 0 when there is none."""
    return next((ACTIONS[term] for term in found if term in ACTIONS), 0)


def _squashed(totals: Floats) -> Floats:
    """Bring sums above 1 into [0, 1] without making them equal: from `KNEE` on the scale grows ever finer."""
    room = np.float32(1 - KNEE)
    above = totals > KNEE
    totals[above] = KNEE + room * np.tanh((totals[above] - KNEE) / room)
    return totals


def _counted(text: str, field: str) -> Counter[str]:
    """The terms of a text with their frequencies; of the telling fields the pairs of neighbours, too."""
    found = terms(text)
    counted = Counter(found)
    if field in ("name", "description"):
        counted.update(_pairs(found))
    return counted


def _glued(tools: Sequence[Tool]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for tool in tools:
        for pair in pairwise(forms(tool.name)):
            found.setdefault(stem("".join(pair)), tuple(map(stem, pair)))
    return found


def _pairs(found: Sequence[str]) -> list[str]:
    """Content words side by side, function words between them left out."""
    content = [term for term in found if term not in FUNCTION_TERMS]
    return [f"{one} {other}" for one, other in pairwise(content)]
