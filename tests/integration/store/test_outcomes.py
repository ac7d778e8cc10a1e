"""Outcomes in the store, the same for both kinds: newest first, bounded by number and age."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest

from tests.integration.store.conftest import Place
from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.cache.postgres_schema import SCHEMA
from tool_router.cache.store import DAY_S, OUTCOMES_KEPT, OUTCOMES_KEPT_S
from tool_router.learning.outcome import Outcome, Verdict

pytestmark = pytest.mark.anyio

NOW = 1.7e9


def outcome(id_: str, at: float = NOW, source: str = "gateway") -> Outcome:
    return Outcome(id_, at, source, f"task {id_}", "web", "search", Verdict.SUCCEEDED, 12.5)


async def ids(place: Place, source: str = "gateway", limit: int = 100) -> list[str]:
    async with place.open() as store:
        return [found.id for found in await store.outcomes(source, limit)]


async def test_outcomes_come_back_as_they_were_newest_first(place: Place) -> None:
    stored = [outcome(str(number), NOW + number) for number in (2, 1, 3)]
    async with place.open() as store:
        await store.add_outcomes(stored)
    async with place.open() as store:
        newest_first = sorted(stored, key=lambda one: -one.at)
        assert await store.outcomes("gateway", 100) == newest_first
        assert await store.outcomes("gateway", 2) == newest_first[:2]


async def test_each_gateway_has_its_own_outcomes(place: Place) -> None:
    async with place.open() as store:
        await store.add_outcomes([outcome("1"), outcome("2", source="other")])
    assert await ids(place) == ["1"]
    assert await ids(place, "other") == ["2"]
    assert await ids(place, "third") == []


async def test_an_outcome_with_a_known_id_replaces_it(place: Place) -> None:
    changed = replace(outcome("1"), tool_id="read", verdict=Verdict.FAILED)
    async with place.open() as store:
        await store.add_outcomes([outcome("1")])
        await store.add_outcomes([changed])
        assert await store.outcomes("gateway", 9) == [changed]


@pytest.mark.parametrize("verdict", Verdict)
async def test_an_outcome_is_judged_by_its_id(place: Place, verdict: Verdict) -> None:
    async with place.open() as store:
        await store.add_outcomes([outcome("1"), outcome("2", NOW - 1)])
        assert await store.judge_outcome("1", verdict)
        assert not await store.judge_outcome("absent", verdict)
        assert [found.verdict for found in await store.outcomes("gateway", 9)] == [verdict, Verdict.SUCCEEDED]


async def test_the_oldest_outcomes_of_a_gateway_beyond_the_bound_are_deleted(place: Place) -> None:
    async with place.open() as store:
        await store.add_outcomes([outcome("other", 1.0, "other")])
        await store.add_outcomes([outcome(str(number), NOW + number) for number in range(OUTCOMES_KEPT + 5)])
    kept = await ids(place, limit=2 * OUTCOMES_KEPT)
    assert len(kept) == OUTCOMES_KEPT
    assert kept[-1] == "5"
    assert await ids(place, "other") == ["other"]


async def test_outcomes_of_more_than_a_year_ago_are_deleted(place: Place) -> None:
    async with place.open(lambda: NOW) as store:
        await store.add_outcomes([outcome("too old", NOW - OUTCOMES_KEPT_S - DAY_S)])
        await store.add_outcomes([outcome("old", NOW - OUTCOMES_KEPT_S), outcome("new")])
    assert await ids(place) == ["new", "old"]


@pytest.mark.parametrize("wrong", [0.0, 100 * OUTCOMES_KEPT_S + NOW])
async def test_a_clock_that_was_wrong_once_deletes_nothing_else(place: Place, wrong: float) -> None:
    async with place.open(lambda: wrong) as store:
        await store.add_outcomes([outcome("right")])
        await store.add_outcomes([outcome("right too")])
    async with place.open(lambda: NOW) as store:
        await store.add_outcomes([outcome("of the future", 100 * OUTCOMES_KEPT_S + NOW)])
    assert set(await ids(place)) == {"right", "right too", "of the future"}


async def test_a_verdict_of_a_later_version_is_left_out_and_does_not_count_against_the_limit(
    place: Place,
) -> None:
    async with place.open() as store:
        await store.add_outcomes([outcome(id_, NOW + int(id_)) for id_ in "1234"])
    change = "UPDATE outcomes SET verdict = 'splendid' WHERE id IN ('3', '4')"
    if place.path is not None:
        with closing(sqlite3.connect(place.path)) as connection, connection:
            connection.execute(change)
    else:
        with psycopg.connect(place.url) as connection:
            connection.execute(change.replace("outcomes", f"{SCHEMA}.outcomes").encode())
    assert await ids(place, limit=2) == ["2", "1"]


@pytest.mark.parametrize(
    "odd", ["half a character \ud83d", "zero \0 byte", "\x01escaped", "\udc00\ud800", "東京"]
)
async def test_text_that_a_database_can_not_hold_comes_back_as_it_was(place: Place, odd: str) -> None:
    stored = Outcome(odd, NOW, odd, odd, odd, odd, Verdict.SUCCEEDED)
    async with place.open() as store:
        await store.add_outcomes([stored])
        assert await store.judge_outcome(odd, Verdict.GOOD)
        assert await store.outcomes(odd, 9) == [replace(stored, verdict=Verdict.GOOD)]
        await store.pin(odd, {odd: "f", "plain": "g"})
        assert await store.pins(odd) == {odd: "f", "plain": "g"}
        catalog = a_catalog(a_tool(odd), source=odd)
        await store.save_catalog(catalog, odd)
        assert await store.load_catalog(odd) == catalog
        # Words that are shown are made fit for that instead.
        assert (await store.load_description(odd) or "").encode()
