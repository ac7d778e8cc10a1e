"""Rankings as bytes: exact where they are whole, a miss where they are not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.cache.samples import CATALOG, a_ranking
from tool_router.cache.ranking_codec import LAYOUT, decode_ranking, encode_ranking
from tool_router.scoring.ranking import Candidate, Ranking, Rung

TOOLS = CATALOG.by_id
numbers = st.floats(allow_nan=False, allow_infinity=False)
candidates = st.builds(
    Candidate,
    st.sampled_from(CATALOG.tools),
    numbers,
    numbers,
    st.none() | numbers,
    numbers,
    st.none() | numbers,
)
rankings = st.builds(
    Ranking,
    st.lists(candidates, max_size=10).map(tuple),
    st.sampled_from(Rung),
    st.text(),
    numbers,
    numbers,
)


def encoded(ranking: Ranking) -> bytes:
    blob = encode_ranking(ranking)
    assert blob is not None
    return blob


@given(rankings)
def test_a_ranking_comes_back_as_it_was(ranking: Ranking) -> None:
    assert decode_ranking(encoded(ranking), TOOLS) == ranking


def test_no_tool_text_and_no_task_is_written() -> None:
    blob = encoded(a_ranking())
    assert b"description" not in blob
    assert len(blob) < 1_500


def test_how_long_it_took_and_where_it_came_from_are_not_kept() -> None:
    ranking = a_ranking()
    kept = decode_ranking(encoded(replace(ranking, elapsed_ms=30.0, cached="redis")), TOOLS)
    assert kept == ranking


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_not_written(value: float) -> None:
    ranking = a_ranking()
    assert encode_ranking(replace(ranking, confidence=value)) is None
    broken = replace(ranking.candidates[0], judged=value)
    assert encode_ranking(Ranking((broken,))) is None


def test_a_tool_that_is_gone_is_a_miss() -> None:
    gone = CATALOG.tools[3].id
    assert decode_ranking(encoded(a_ranking()), {k: v for k, v in TOOLS.items() if k != gone}) is None


def changed(place: tuple[int, ...], value: Any) -> bytes:
    whole = json.loads(encoded(a_ranking()))
    inner = whole
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return json.dumps(whole).encode()


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        encoded(a_ranking())[:-5],
        changed((0,), LAYOUT + 1),
        changed((1, 0), "unheard-of rung"),
        changed((1, 2), "0.8"),
        changed((1, 2), True),
        changed((1, 2), float("nan")),
        changed((1, 2), 10**400),
        changed((1,), []),
        changed((2, 0, 0), ["a list"]),
        changed((2, 0, 1), None),
        changed((2, 0), []),
        changed((2,), None),
    ],
)
def test_bytes_that_are_no_ranking_are_a_miss(blob: bytes) -> None:
    assert decode_ranking(blob, TOOLS) is None
