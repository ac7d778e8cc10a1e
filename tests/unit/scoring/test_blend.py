"""One score out of keyword and relevance."""

from __future__ import annotations

import numpy as np
import pytest

from tool_router.scoring.blend import (
    LEAST_SPREAD,
    LEAST_TRUST,
    TRUSTED,
    Weights,
    blend,
    scale_of,
    standard,
    trust_of,
)

KEYWORD = np.array([0.9, 0.1, 0.2, 0.0], np.float32)


def test_without_relevance_the_keyword_score_stands_alone() -> None:
    assert blend(KEYWORD, None, Weights()) is KEYWORD


def test_every_tool_receives_its_own_relevance() -> None:
    relevance = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    blended = blend(np.zeros(4, np.float32), relevance, Weights())
    assert list(np.argsort(blended)) == [0, 1, 2, 3]


def test_the_scale_of_the_cosines_does_not_matter() -> None:
    relevance = np.array([0.31, 0.30, 0.33, 0.29], np.float32)
    assert blend(KEYWORD, relevance, Weights()) == pytest.approx(
        blend(KEYWORD, 5 * relevance - 1, Weights()), abs=1e-4
    )


def test_relevance_counts_seventy_percent_of_equal_spreads() -> None:
    relevance = KEYWORD[::-1].copy()
    blended = blend(KEYWORD, relevance, Weights())
    assert blended == pytest.approx(0.3 * KEYWORD + 0.7 * relevance, abs=1e-6)


def test_words_that_hardly_match_count_less() -> None:
    assert trust_of(np.array([TRUSTED, 0.1], np.float32)) == pytest.approx(1.0)
    assert trust_of(np.array([TRUSTED / 2, 0.1], np.float32)) == pytest.approx((1 + LEAST_TRUST) / 2)
    assert trust_of(np.zeros(2, np.float32)) == LEAST_TRUST


def test_relevance_still_ranks_where_no_word_matches() -> None:
    level, spread = scale_of(np.zeros(3, np.float32))
    assert (level, spread) == (0.0, LEAST_SPREAD)


@pytest.mark.parametrize(
    "scores",
    [
        np.array([np.nan, 0.2, 0.4], np.float32),
        np.array([-np.inf, 0.2, 0.4], np.float32),
    ],
)
def test_what_is_not_a_number_counts_as_the_lowest(scores: np.ndarray) -> None:
    found = standard(scores)
    assert np.isfinite(found).all()
    assert found[0] == found.min()


@pytest.mark.parametrize("scores", [[], [0.5], [0.5, 0.5], [np.nan, np.nan]])
def test_scores_that_do_not_differ_say_nothing(scores: list[float]) -> None:
    assert not standard(np.array(scores, np.float32)).any()
