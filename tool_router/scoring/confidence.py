"""How sure a ranking is: that its first candidate is right, and that no tool fits. Pure.

Two logistic models over the features of a ranking, one pair for each rung; the coefficients are in
`confidence.json`, written by `scripts/fit_confidence.py`, which fits them on labelled tasks with
cross-validation. `docs/selection.md` has the reliability table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from tool_router.scoring.ranking import Rung

Floats = NDArray[np.float32]

FEATURES = (
    "bias",
    "keyword",
    "margin",
    "ratio",
    "near",
    "named",
    "choice",
    "cosine",
    "cosine_lead",
    "keyword_place",
    "relevance_place",
    "keyword * keyword",
    "margin * margin",
    "ratio * ratio",
    "cosine * cosine",
    "keyword * choice",
    "keyword * ratio",
)
"""What the models look at, in the order of their coefficients; see `features`."""

NEAR = 0.85
"""A candidate from this share of the first score on is near it."""


@dataclass(frozen=True, slots=True)
class Certainty:
    """Probabilities in [0, 1].

    Attributes:
        right: that the first candidate is right.
        none_fits: that no tool fits.
    """

    right: float
    none_fits: float


def features(
    scores: Floats,
    keyword: Floats,
    relevance: Floats | None,
    order: NDArray[np.int64],
    ranked: int,
    *,
    named: bool,
) -> tuple[float, ...]:
    """Describe a ranking by numbers of comparable size.

    Args:
        scores: what was ranked by, one for each tool.
        keyword: the keyword scores.
        relevance: the cosines; None on the keyword rung, whose features of relevance are 0.
        order: positions of the candidates, best first; at least one.
        ranked: how many tools were ranked.
        named: whether the task spells the first tool's name or server.
    """
    first = int(order[0])
    best = float(scores[first])
    second = float(scores[order[1]]) if len(order) > 1 else 0.0
    near = sum(1 for position in order[1:] if scores[position] > NEAR * best)
    cosine = lead = relevance_place = 0.0
    if relevance is not None:
        cosine = float(relevance[first])
        others = np.delete(relevance, first)
        lead = cosine - float(others.max()) if others.size else cosine
        relevance_place = _place(relevance, first)
    words = float(keyword[first])
    margin = best - second
    ratio = margin / best if best > 0 else 0.0
    choice = math.log1p(ranked) / 8
    return (
        1.0,
        words,
        margin,
        ratio,
        math.log1p(near),
        float(named),
        choice,
        cosine,
        lead,
        _place(keyword, first),
        relevance_place,
        words * words,
        margin * margin,
        ratio * ratio,
        cosine * cosine,
        words * choice,
        words * ratio,
    )


def certainty(found: Sequence[float], rung: Rung) -> Certainty:
    """The probabilities for these features; a rung without coefficients uses those of the one below it."""
    fitted = coefficients()
    rungs = list(Rung)
    name = next(r.value for r in reversed(rungs[: rungs.index(rung) + 1]) if r.value in fitted)
    right, none_fits = fitted[name]
    return Certainty(_logistic(right, found), _logistic(none_fits, found))


@lru_cache(maxsize=1)
def coefficients() -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """The fitted coefficients by rung: of the first candidate being right, and of no tool fitting."""
    text = files("tool_router.scoring").joinpath("confidence.json").read_text(encoding="utf-8")
    return {
        rung: (tuple(models["right"]), tuple(models["none_fits"]))
        for rung, models in json.loads(text)["coefficients"].items()
    }


def _place(scores: Floats, position: int) -> float:
    """How many tools a score ranks behind, on a logarithmic scale; 0 for the best."""
    return math.log1p(int((scores > scores[position]).sum()))


def _logistic(weights: Sequence[float], found: Sequence[float]) -> float:
    total = sum(weight * value for weight, value in zip(weights, found, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))
