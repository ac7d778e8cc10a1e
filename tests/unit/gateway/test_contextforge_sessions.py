"""Which calls share a session of ContextForge."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from tests.unit.balance.clock import ManualClock
from tool_router.catalog.model import Tool
from tool_router.errors import GatewayFailed
from tool_router.gateway.contextforge_sessions import (
    FIRST_REST_S,
    MAX_REST_S,
    QUICK_S,
    SessionPool,
)


def a_tool(name: str = "echo", server: str = "everything") -> Tool:
    return Tool(id=f"{server}::{name}", name=name, server=server, call_name=f"{server}-{name}")


ECHO, SUM, NOW = a_tool(), a_tool("sum"), a_tool("now", "time")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def pool(clock: ManualClock) -> SessionPool:
    return SessionPool(2, b"seed", clock)


def call(pool: SessionPool, clock: ManualClock, tool: Tool, took_s: float = 0.02, **said: Any) -> str:
    """Make one call; gives the id it went with."""
    with pool.use(tool) as session:
        clock.advance(took_s)
        session.lost = said.get("lost", False)
    return session.id


def test_calls_one_after_another_share_one_session(pool: SessionPool, clock: ManualClock) -> None:
    ids = {call(pool, clock, tool) for tool in (ECHO, SUM, ECHO, SUM, ECHO)}
    assert len(ids) == 1
    assert ids != {""}


def test_the_most_recently_used_of_the_idle_sessions_is_taken(pool: SessionPool, clock: ManualClock) -> None:
    with pool.use(ECHO) as first:
        clock.advance(0.01)
        with pool.use(ECHO) as second:
            clock.advance(0.01)
    assert {call(pool, clock, ECHO) for _ in range(3)} == {second.id}
    assert first.id != second.id


def test_services_never_share_an_id(pool: SessionPool, clock: ManualClock) -> None:
    assert call(pool, clock, ECHO) != call(pool, clock, NOW)


def test_a_tool_whose_service_is_not_known_gets_no_id(pool: SessionPool, clock: ManualClock) -> None:
    assert call(pool, clock, a_tool(server="")) == ""


def test_a_tool_that_was_never_called_shares_with_nobody(pool: SessionPool) -> None:
    with ExitStack() as calls:
        ids = [calls.enter_context(pool.use(ECHO)).id for _ in range(4)]
    assert len(set(ids[:2])) == 2
    assert ids[2:] == ["", ""]


def test_quick_tools_share_the_sessions_with_the_fewest_calls(pool: SessionPool, clock: ManualClock) -> None:
    call(pool, clock, ECHO)
    with ExitStack() as calls:
        ids = [calls.enter_context(pool.use(ECHO)).id for _ in range(6)]
    assert [ids.count(one) for one in set(ids)] == [3, 3]
    assert "" not in ids


def test_nobody_waits_behind_a_call_of_a_tool_that_may_be_slow(pool: SessionPool, clock: ManualClock) -> None:
    call(pool, clock, ECHO)
    with pool.use(SUM) as unknown, pool.use(SUM), pool.use(ECHO) as quick:
        assert unknown.id
        assert quick.id == ""


def test_nobody_waits_behind_a_call_that_has_run_for_long(pool: SessionPool, clock: ManualClock) -> None:
    call(pool, clock, ECHO)
    with pool.use(ECHO), pool.use(ECHO):
        clock.advance(QUICK_S)
        with pool.use(ECHO) as young:
            assert young.id
        clock.advance(QUICK_S + 0.01)
        with pool.use(ECHO) as late:
            assert late.id == ""


def test_a_queue_that_moves_is_joined_however_long_it_lasts(pool: SessionPool, clock: ManualClock) -> None:
    single = SessionPool(1, b"seed", clock)
    call(single, clock, ECHO)
    with single.use(ECHO):
        for _ in range(5):
            with single.use(ECHO) as next_one:
                clock.advance(QUICK_S * 0.9)
            assert next_one.id


def test_a_slow_tool_goes_without_until_it_was_quick_again(pool: SessionPool, clock: ManualClock) -> None:
    first = call(pool, clock, ECHO, took_s=QUICK_S + 1)
    assert first
    assert call(pool, clock, ECHO, took_s=QUICK_S + 1) == ""
    assert call(pool, clock, SUM) == first
    assert call(pool, clock, ECHO, took_s=0.1) == ""
    assert call(pool, clock, ECHO) == first


def test_a_tool_is_not_called_slow_for_having_waited_its_turn(clock: ManualClock) -> None:
    single = SessionPool(1, b"seed", clock)
    call(single, clock, ECHO)
    call(single, clock, SUM)
    with single.use(SUM), single.use(ECHO) as waiting:
        clock.advance(QUICK_S + 1)
    assert waiting.id
    assert call(single, clock, ECHO)


def test_a_lost_session_takes_all_of_its_service_along_for_a_rest(clock: ManualClock) -> None:
    pool = SessionPool(2, b"seed", clock)
    with pool.use(ECHO) as one, pool.use(ECHO) as other:
        pass
    time = call(pool, clock, NOW)
    assert call(pool, clock, ECHO, lost=True)
    assert call(pool, clock, ECHO) == ""
    assert call(pool, clock, NOW) == time
    clock.advance(FIRST_REST_S)
    with pool.use(ECHO) as fresh, pool.use(ECHO) as second:
        assert len({one.id, other.id, fresh.id, second.id}) == 4


def test_rests_double_up_to_an_hour_until_a_session_answers(pool: SessionPool, clock: ManualClock) -> None:
    rest_s = FIRST_REST_S
    for _ in range(10):
        assert call(pool, clock, ECHO, took_s=0, lost=True)
        clock.advance(rest_s - 0.5)
        assert call(pool, clock, ECHO, took_s=0) == ""
        clock.advance(0.5)
        rest_s = min(rest_s * 2, MAX_REST_S)
    assert call(pool, clock, ECHO, took_s=0)
    assert call(pool, clock, ECHO, took_s=0, lost=True)
    clock.advance(FIRST_REST_S)
    assert call(pool, clock, ECHO, took_s=0)


def test_a_late_answer_of_an_abandoned_session_changes_nothing(pool: SessionPool, clock: ManualClock) -> None:
    with pool.use(ECHO) as late:
        call(pool, clock, SUM, lost=True)
        clock.advance(FIRST_REST_S)
        fresh = call(pool, clock, SUM)
        late.lost = True
    assert call(pool, clock, SUM) == fresh


@pytest.mark.parametrize(
    ("took_s", "kept"), [(QUICK_S, True), (QUICK_S + 0.01, False)], ids=["at once", "after a silence"]
)
def test_a_call_that_ends_without_an_answer_loses_its_session_only_after_a_silence(
    pool: SessionPool, clock: ManualClock, took_s: float, *, kept: bool
) -> None:
    def unanswered() -> None:
        with pool.use(ECHO):
            clock.advance(took_s)
            raise GatewayFailed("It broke off.")

    first = call(pool, clock, SUM)
    with pytest.raises(GatewayFailed):
        unanswered()
    assert (call(pool, clock, SUM) == first) is kept


def test_a_service_that_was_away_gets_new_ids_at_once(pool: SessionPool, clock: ManualClock) -> None:
    first, time = call(pool, clock, ECHO), call(pool, clock, NOW)
    pool.forget("everything")
    pool.forget("nobody")
    second = call(pool, clock, ECHO)
    assert second not in ("", first)
    assert call(pool, clock, NOW) == time


def test_ids_follow_from_the_seed_and_can_not_be_told_without_it(clock: ManualClock) -> None:
    def of(seed: bytes) -> str:
        return call(SessionPool(1, seed, clock), clock, ECHO)

    assert of(b"a") == of(b"a") != of(b"b")
    # What the gateway accepts as an id.
    assert of(b"a").isalnum()
    assert len(of(b"a")) == 32


@pytest.mark.parametrize("disabled", [True, False])
def test_a_pool_that_is_off_hands_out_nothing(clock: ManualClock, *, disabled: bool) -> None:
    pool = SessionPool(4 if disabled else 0, b"seed", clock)
    if disabled:
        assert call(pool, clock, ECHO)
        pool.disable()
    assert call(pool, clock, ECHO) == ""
    assert not pool.enabled
