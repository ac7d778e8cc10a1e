"""Which failures are worth repeating, how long to wait, and how many retries there are."""

from __future__ import annotations

import pytest

from tests.unit.balance.clock import ManualClock
from tool_router.balance.retry import RetryBudget, RetrySettings, may_repeat, pause_s
from tool_router.catalog.model import Hints, Tool
from tool_router.errors import (
    BreakerOpen,
    GatewayBusy,
    GatewayError,
    GatewayFailed,
    GatewayProtocolError,
    GatewayRejected,
    GatewayTimeout,
    GatewayUnreachable,
    ToolUnavailable,
    UpstreamFailed,
)

SILENT = Tool(id="s::t", name="t", server="s")
READING = Tool(id="s::t", name="t", server="s", hints=Hints(read_only=True))
REPEATABLE = Tool(id="s::t", name="t", server="s", hints=Hints(read_only=False, idempotent=True))
WRITING = Tool(id="s::t", name="t", server="s", hints=Hints(read_only=False, idempotent=False))

UNSENT = GatewayUnreachable("refused")
AMBIGUOUS = [GatewayTimeout("late"), GatewayFailed("502"), UpstreamFailed("died")]
FINAL = [
    GatewayBusy(1.0, "429"),
    GatewayRejected(404, "no"),
    GatewayProtocolError("html"),
    ToolUnavailable("off"),
    BreakerOpen(["tool:t"], 3.0),
]


@pytest.mark.parametrize("tool", [SILENT, READING, REPEATABLE, WRITING])
def test_what_never_reached_the_tool_may_be_repeated_for_any_tool(tool: Tool) -> None:
    assert may_repeat(UNSENT, tool)


@pytest.mark.parametrize("error", AMBIGUOUS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("tool", "allowed"), [(SILENT, False), (WRITING, False), (READING, True), (REPEATABLE, True)]
)
def test_an_ambiguous_failure_is_repeated_only_where_the_tool_says_it_is_harmless(
    error: GatewayError, tool: Tool, allowed: bool
) -> None:
    assert may_repeat(error, tool) is allowed


@pytest.mark.parametrize("error", FINAL, ids=lambda error: type(error).__name__)
def test_what_would_answer_the_same_again_is_never_repeated(error: GatewayError) -> None:
    assert not may_repeat(error, READING)


def test_a_tool_on_the_deny_list_is_never_repeated() -> None:
    assert not may_repeat(UNSENT, READING, frozenset({READING.id}))


def test_pauses_lie_below_a_bound_that_doubles_up_to_its_cap() -> None:
    settings = RetrySettings(base_s=0.1, cap_s=0.5)
    assert [pause_s(n, settings, lambda: 1.0) for n in range(5)] == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])
    assert pause_s(10_000, settings, lambda: 0.5) == pytest.approx(0.25)
    assert pause_s(3, settings, lambda: 0.0) == 0.0


def test_a_fresh_budget_allows_its_reserve_and_no_more(clock: ManualClock) -> None:
    budget = RetryBudget(RetrySettings(reserve=3), clock)
    assert [budget.take() for _ in range(5)] == [True, True, True, False, False]


def test_every_tenth_call_earns_a_retry(clock: ManualClock) -> None:
    budget = RetryBudget(RetrySettings(reserve=0), clock)
    taken: list[int] = []
    for number in range(1, 101):
        budget.call_made()
        if budget.take():
            taken.append(number)
    assert taken == list(range(10, 101, 10))


def test_a_storm_of_failing_calls_gets_a_tenth_more_load_and_the_reserve(clock: ManualClock) -> None:
    budget = RetryBudget(RetrySettings(), clock)
    retries = 0
    for _ in range(1000):
        budget.call_made()
        retries += budget.take() + budget.take()
    assert retries == 103


def test_the_reserve_comes_back_with_time_and_stops_at_its_size(clock: ManualClock) -> None:
    budget = RetryBudget(RetrySettings(reserve=3, refill_s=60), clock)
    while budget.take():
        pass
    clock.advance(19.9)
    assert not budget.take()
    clock.advance(0.1)
    assert budget.take()
    clock.advance(10_000)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]


def test_what_calls_earned_is_bounded(clock: ManualClock) -> None:
    budget = RetryBudget(RetrySettings(reserve=3), clock)
    for _ in range(100_000):
        budget.call_made()
    taken = 0
    while budget.take():
        taken += 1
    assert taken == 30
