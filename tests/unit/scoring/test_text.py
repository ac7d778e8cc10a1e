"""Words of a text, and texts that nobody means well with."""

from __future__ import annotations

import time

import pytest

from tests.unit.scoring.catalogs import OFFICE
from tool_router.cache.store import Store
from tool_router.learning.affinity import AffinityIndex
from tool_router.learning.recorder import Recorder
from tool_router.scoring.keyword import KeywordIndex
from tool_router.scoring.text import terms, without_values

MEGABYTE = 1_000_000
SLOW_S = 3.0
"""Far above what any of these takes (0.3 s), far below what a quadratic pattern does (minutes)."""


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('say "good bye" to me', "say   to me"),
        ("mail bob.b+x@example.org now", "mail   now"),
        ("open ~/notes/a.txt and ./b", "open   and  "),
        ("read https://example.org/a?b=c please", "read   please"),
        ("it's Bob's book", "it's Bob's book"),
    ],
)
def test_values_are_taken_out_of_a_text(text: str, left: str) -> None:
    assert without_values(text) == left


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("createIssue", ["creat", "issu", "createissu"]),
        ("GitHub_API v2", ["git", "hub", "github", "api", "v", "2", "v2"]),
        ("Crème brûlée", ["creme", "brule"]),
    ],
)
def test_identifiers_are_split_and_words_stemmed(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.alone
@pytest.mark.anyio
@pytest.mark.parametrize(
    "piece",
    ["a", ".", "/", "a.", "a@", "a-", "aB", "x ", "'", "' ", '"x ', "`", "~/", "a://", "é", "東", "e\u0301"],
)
async def test_a_megabyte_of_anything_is_ranked_quickly(piece: str) -> None:
    task = piece * (MEGABYTE // len(piece))
    index = KeywordIndex.build(OFFICE)
    started = time.perf_counter()
    without_values(task)
    terms(task)
    index.scores(task, task)
    async with Store.open(None) as store:
        Recorder(store, "gateway", index=AffinityIndex(), redact=str).view(task, None)
    assert time.perf_counter() - started < SLOW_S
