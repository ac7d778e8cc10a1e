"""The calibrated probability that the first candidate of a ranking is right. Pure.

A logistic model over features of the ranking; its coefficients are in `confidence.json`, written by
`scripts/fit_confidence.py`, which fits them on labelled tasks with cross-validation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

from tool_router.scoring.ranking import Rung

FEATURES = ("bias", "score", "margin", "ratio", "near", "named")
"""What the model looks at, in the order of its coefficients; see `features`."""


def features(scores: Sequence[float], keyword: float, *, named: bool) -> tuple[float, ...]:
    """Describe a ranking by numbers of comparable size.

    Args:
        scores: of the candidates, best first; at least one.
        keyword: the keyword score of the first.
        named: whether the task spells the first tool's name or server.
    """
    first = scores[0]
    second = scores[1] if len(scores) > 1 else 0.0
    near = sum(1 for score in scores[1:] if score > 0.85 * first)
    ratio = (first - second) / first if first > 0 else 0.0
    return (1.0, keyword, first - second, ratio, math.log1p(near), float(named))


def probability(found: Sequence[float], rung: Rung) -> float:
    """The probability for these features, in [0, 1]; a rung without coefficients uses the keyword's."""
    fitted = coefficients()
    weights = fitted.get(rung.value) or fitted[Rung.KEYWORD.value]
    total = sum(weight * value for weight, value in zip(weights, found, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


@lru_cache(maxsize=1)
def coefficients() -> dict[str, tuple[float, ...]]:
    """The fitted coefficients, by rung, in the order of `FEATURES`."""
    text = files("tool_router.scoring").joinpath("confidence.json").read_text(encoding="utf-8")
    return {rung: tuple(weights) for rung, weights in json.loads(text)["coefficients"].items()}
