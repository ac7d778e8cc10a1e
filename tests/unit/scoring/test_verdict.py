"""What a judge's probabilities make of the ranking it was shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.scoring.catalogs import OFFICE
from tool_router.scoring.ranking import Candidate, Ranking, Rung
from tool_router.scoring.verdict import judged, unjudged

RANKING = Ranking(
    tuple(
        Candidate(tool, score, score, score) for tool, score in zip(OFFICE, (0.5, 0.48, 0.4), strict=False)
    ),
    Rung.EMBED,
    "",
    confidence=0.5,
    none_fits=0.1,
    elapsed_ms=1.0,
)


def test_the_judges_choice_comes_first() -> None:
    ranking = judged(RANKING, (0.1, 0.85), 0.05, 20.0)
    assert ranking.candidates[0].tool is OFFICE[1]
    assert ranking.candidates[0].judged == 0.85
    assert ranking.rung is Rung.JUDGE
    assert ranking.elapsed_ms == 21.0


def test_agreement_makes_surer_and_contradiction_less_sure() -> None:
    agrees = judged(RANKING, (0.9, 0.05), 0.05, 0.0)
    differs = judged(RANKING, (0.05, 0.9), 0.05, 0.0)
    assert agrees.confidence > RANKING.confidence
    assert judged(replace(RANKING, confidence=0.8), (0.05, 0.9), 0.05, 0.0).confidence < 0.5
    assert differs.candidates[0].tool is OFFICE[1]


def test_a_judge_for_whom_none_fits_raises_that_probability() -> None:
    assert judged(RANKING, (0.05, 0.05), 0.9, 0.0).none_fits > RANKING.none_fits


def test_what_was_not_shown_stays_below_what_was() -> None:
    ranking = judged(RANKING, (0.6, 0.01), 0.39, 0.0)
    scores = [candidate.score for candidate in ranking.candidates]
    assert scores == sorted(scores, reverse=True)
    assert ranking.candidates[-1].tool is OFFICE[2]
    assert ranking.candidates[-1].judged is None


def test_without_a_judgement_the_ranking_stays_and_says_why() -> None:
    ranking = unjudged(RANKING, "the model is loading", 5.0)
    assert ranking.candidates == RANKING.candidates
    assert ranking.rung is Rung.EMBED
    assert ranking.rung_reason == "the model is loading"
    assert ranking.elapsed_ms == pytest.approx(6.0)
