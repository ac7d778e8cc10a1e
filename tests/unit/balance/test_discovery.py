"""Addresses of a name, kept current: hours pass in milliseconds, since time jumps when nothing happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from tool_router.balance.discovery import (
    MAX_RETRY_S,
    MAX_TTL_S,
    MIN_TTL_S,
    Address,
    Answer,
    Change,
    Discovery,
)
from tool_router.errors import GatewayUnreachable

pytestmark = pytest.mark.anyio

NAME = "gateway.example.com"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def at(host: str, *, priority: int = 0, weight: int = 0, source: str = NAME) -> Address:
    return Address(priority, host, 443, weight, NAME, source)


A, B, C = at("10.0.0.1"), at("10.0.0.2"), at("10.0.0.3")
SIX = at("fd00::1")
DOWN = GatewayUnreachable("Nobody answered.")


class ScriptedLookup:
    """Answers one after another; the last one for ever."""

    name = NAME

    def __init__(self, *answers: Answer | GatewayUnreachable) -> None:
        self._answers = list(answers)
        self.asked_at: list[float] = []

    async def __call__(self) -> Answer:
        self.asked_at.append(anyio.current_time())
        await anyio.lowlevel.checkpoint()
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, GatewayUnreachable):
            raise answer
        return answer

    @property
    def pauses(self) -> list[float]:
        return [round(after - before, 6) for before, after in pairwise(self.asked_at)]


def found(*addresses: Address, ttl_s: float = 60.0, missing: tuple[tuple[str, int], ...] = ()) -> Answer:
    return Answer(addresses, ttl_s, frozenset(missing))


@asynccontextmanager
async def discovering(
    *answers: Answer | GatewayUnreachable, draw: float = 0.0
) -> AsyncGenerator[tuple[Discovery, ScriptedLookup, list[Change]]]:
    lookup, changes = ScriptedLookup(*answers), list[Change]()
    discovery = Discovery(lookup, changes.append, draw=lambda: draw)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(discovery.run)
        yield discovery, lookup, changes
        tasks.cancel_scope.cancel()


async def test_the_first_answer_is_a_change_that_adds_all() -> None:
    async with discovering(found(B, A)) as (discovery, _, changes):
        assert await discovery.first() == (A, B)
    assert changes == [Change(added=(A, B))]


async def test_only_what_differs_is_told() -> None:
    async with discovering(found(A, B), found(B, A), found(B, C)) as (discovery, _, changes):
        await anyio.sleep(130)
        assert discovery.addresses == (B, C)
    assert changes == [Change(added=(A, B)), Change(added=(C,), removed=(A,))]


async def test_another_weight_of_the_same_address_is_a_change_of_it() -> None:
    heavy = at("10.0.0.1", weight=9)
    async with discovering(found(A), found(heavy)) as (_, _, changes):
        await anyio.sleep(70)
    assert changes[1:] == [Change(changed=(heavy,))]


@pytest.mark.parametrize(
    ("ttl_s", "pause_s"), [(0, MIN_TTL_S), (5, 5), (77, 77), (300, 300), (86400, MAX_TTL_S)]
)
async def test_a_name_is_asked_again_when_its_answer_has_aged_within_bounds(
    ttl_s: float, pause_s: float
) -> None:
    async with discovering(found(A, ttl_s=ttl_s)) as (_, lookup, _):
        await anyio.sleep(1000)
    assert set(lookup.pauses) == {pause_s}


async def test_a_lookup_that_fails_keeps_the_last_good_answer_and_is_said_once() -> None:
    with capture_logs() as logs:
        async with discovering(found(A, B), DOWN) as (discovery, lookup, changes):
            await anyio.sleep(12 * 3600)
            assert discovery.addresses == (A, B)
            assert discovery.error is DOWN
    assert len(lookup.asked_at) > 500
    assert len(changes) == 1
    assert [entry["event"] for entry in logs].count("discovery_failed") == 1


async def test_another_reason_is_said_again_and_so_is_recovery() -> None:
    other = GatewayUnreachable("There is no such name.")
    with capture_logs() as logs:
        async with discovering(DOWN, DOWN, other, found(A)) as (discovery, _, changes):
            await anyio.sleep(300)
            assert discovery.error is None
    events = [entry["event"] for entry in logs]
    assert events.count("discovery_failed") == 2
    assert events.count("discovery_recovered") == 1
    assert changes == [Change(added=(A,))]


@pytest.mark.parametrize(("draw", "first"), [(0.0, 5.0), (0.5, 7.5)])
async def test_failures_are_asked_again_after_growing_pauses(draw: float, first: float) -> None:
    async with discovering(DOWN, draw=draw) as (_, lookup, _):
        await anyio.sleep(600)
    assert lookup.pauses[:3] == [first, first * 2, first * 4]
    assert lookup.pauses[-1] == MAX_RETRY_S * (0.5 + draw / 2)


async def test_without_any_answer_waiting_for_the_first_one_says_why() -> None:
    async with discovering(DOWN) as (discovery, _, _):
        with pytest.raises(GatewayUnreachable, match="Nobody answered"):
            await discovery.first()
        assert discovery.addresses == ()


async def test_what_was_not_answered_still_holds() -> None:
    answers = (found(A, SIX), found(B, missing=((NAME, 6),)), found(B))
    async with discovering(*answers) as (discovery, _, changes):
        await anyio.sleep(70)
        assert discovery.addresses == (B, SIX)
        await anyio.sleep(60)
        assert discovery.addresses == (B,)
    assert changes[1:] == [Change(added=(B,), removed=(A,)), Change(removed=(SIX,))]


async def test_an_unanswered_target_keeps_no_other_targets_addresses() -> None:
    one, two = at("10.0.0.1", source="a.example.com"), at("10.0.0.2", source="b.example.com")
    answers = (found(one, two), found(C, missing=(("a.example.com", 4),)))
    async with discovering(*answers) as (discovery, _, _):
        await anyio.sleep(70)
        assert discovery.addresses == (one, C)


def test_an_address_has_a_key_that_a_url_can_hold() -> None:
    assert (A.key, SIX.key) == ("10.0.0.1:443", "[fd00::1]:443")


def test_the_preferred_addresses_come_first() -> None:
    assert at("10.0.0.9", priority=10) < at("10.0.0.1", priority=20)
