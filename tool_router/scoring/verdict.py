"""Joins a judge's probabilities with the ranking it was shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tool_router.scoring.ranking import Candidate, Ranking, Rung

JUDGE_SHARE = 0.7
"""The judge is the relevance of its rung: the same share of the blend as the vectors have on theirs."""


def judged(ranking: Ranking, probabilities: Sequence[float], none_fits: float, elapsed_ms: float) -> Ranking:
    """Reorder the judged candidates by the judge and by what they scored before.

    A candidate's earlier score counts as its share of the shortlist's. The probabilities that the first is
    right and that none fits are the geometric means of the judge's and of those from before: a judge that is
    sure of what the scores hold for unlikely leaves the answer open.

    Args:
        ranking: as it was shown.
        probabilities: one for each of the first candidates.
        none_fits: the judge's probability that none fits.
        elapsed_ms: how long the judge took, in milliseconds.
    """
    shown = ranking.candidates[: len(probabilities)]
    total = sum(candidate.score for candidate in shown) or 1.0
    mixed = [
        replace(
            candidate,
            score=JUDGE_SHARE * probability + (1 - JUDGE_SHARE) * candidate.score / total,
            judged=probability,
        )
        for candidate, probability in zip(shown, probabilities, strict=True)
    ]
    order = sorted(range(len(mixed)), key=lambda place: -mixed[place].score)
    first = order[0]
    # Before the judge every other candidate was at best as probable as what the first one left over.
    before = ranking.confidence if first == 0 else (1 - ranking.confidence) / max(1, len(shown) - 1)
    least = mixed[order[-1]].score
    rest = tuple(_below(candidate, least) for candidate in ranking.candidates[len(shown) :])
    return replace(
        ranking,
        candidates=(*(mixed[place] for place in order), *rest),
        rung=Rung.JUDGE,
        rung_reason="",
        confidence=_joined(before, mixed[first].judged or 0.0),
        none_fits=_joined(ranking.none_fits, none_fits),
        elapsed_ms=ranking.elapsed_ms + elapsed_ms,
    )


def unjudged(ranking: Ranking, reason: str, elapsed_ms: float) -> Ranking:
    """The ranking as it was, with the reason why the judge did not answer."""
    reasons = "; ".join(filter(None, (ranking.rung_reason, reason)))
    return replace(ranking, rung_reason=reasons, elapsed_ms=ranking.elapsed_ms + elapsed_ms)


def _joined(before: float, judge: float) -> float:
    return (before * judge) ** 0.5


def _below(candidate: Candidate, least: float) -> Candidate:
    """A candidate that was not shown, no better than the last that was."""
    return replace(candidate, score=min(candidate.score, least))
