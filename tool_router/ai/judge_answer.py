"""From a judge's answer to a judgement, refusing whatever does not answer the question. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tool_router.ai.judge_prompt import Ballot
from tool_router.errors import ProviderError


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge thinks of a shortlist.

    Attributes:
        probabilities: one for each given tool, in the given order; with `none_fits` they sum to one. None
            when there is no judgement.
        none_fits: the probability that none of the tools fits; 0.0 without a judgement.
        reason: why there is no judgement; empty when there is one.
    """

    probabilities: tuple[float, ...] | None
    none_fits: float = 0.0
    reason: str = ""


def judgement(ballot: Ballot, by_label: Mapping[str, float], tools: int) -> Judgement:
    """Give every tool the probability of its letter; a tool that was not on the ballot has none.

    Args:
        ballot: the question.
        by_label: a probability for each letter; they sum to one.
        tools: how many tools were given.
    """
    probabilities = [0.0] * tools
    for label, place in zip(ballot.labels, ballot.order, strict=False):
        probabilities[place] = by_label[label]
    return Judgement(tuple(probabilities), by_label[ballot.labels[-1]])


def read_scores(ballot: Ballot, answer: Any) -> Mapping[str, float]:
    """A probability for each letter, from the JSON answer to `scores_prompt`; they sum to one.

    Raises:
        ProviderError: ``malformed``: it scores something that was not offered, or gives no probabilities.
    """
    if not isinstance(answer, dict):
        raise ProviderError("malformed", "The model's scores are no JSON object.")
    given = cast("dict[str, Any]", answer)
    foreign = [name for name in given if name not in ballot.labels]
    if foreign:
        raise ProviderError("malformed", f"The model scored {foreign[0][:20]!r}, which was not offered.")
    scores: dict[str, float] = {}
    for label in ballot.labels:
        score = given.get(label, 0.0)
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise ProviderError("malformed", "The model's scores are no numbers.")
        # Some models count in percent, whatever the schema says. NaN is in no range.
        if not 0 <= score <= 100:
            raise ProviderError("malformed", "The model's scores are no probabilities.")
        scores[label] = float(score)
    total = sum(scores.values())
    if total <= 0:
        raise ProviderError("malformed", "The model scored nothing.")
    return {label: score / total for label, score in scores.items()}
