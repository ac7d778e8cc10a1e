"""A bounded number of breakers, and the ones that must be kept."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.balance.clock import ManualClock
from tests.unit.balance.test_breaker import DEFAULTS, fail
from tool_router.balance.breaker import Breaker, State
from tool_router.balance.registry import BreakerRegistry


def registry(clock: ManualClock, capacity: int) -> BreakerRegistry:
    settings = replace(DEFAULTS, failure_threshold=1)
    return BreakerRegistry(lambda key: Breaker(settings, clock), capacity)


def test_the_same_key_is_the_same_breaker(clock: ManualClock) -> None:
    breakers = registry(clock, 4)
    assert breakers.get("a") is breakers.get("a")
    assert breakers.get("a") is not breakers.get("b")


def test_the_least_recently_used_closed_breaker_is_forgotten_first(clock: ManualClock) -> None:
    breakers = registry(clock, 3)
    for key in "abcad":
        breakers.get(key)
    assert list(breakers.view()) == ["c", "a", "d"]


def test_an_open_half_open_or_resting_breaker_is_never_forgotten(clock: ManualClock) -> None:
    breakers = registry(clock, 2)
    half = breakers.get("half")
    fail(half, 1)
    clock.advance(30)
    fail(breakers.get("open"), 1)
    breakers.get("resting").rest(clock() + 60)
    for number in range(100):
        breakers.get(f"passing {number}")
    assert set(breakers.view()) == {"half", "open", "resting", "passing 99"}
    assert breakers.get("open").state is State.OPEN


def test_a_thousand_keys_stay_within_the_capacity(clock: ManualClock) -> None:
    breakers = registry(clock, 64)
    for number in range(1000):
        breakers.get(f"{number}")
    assert len(breakers) == 64


def test_the_number_shrinks_again_once_they_have_closed(clock: ManualClock) -> None:
    breakers = registry(clock, 2)
    for key in "abcdef":
        fail(breakers.get(key), 1)
    assert len(breakers) == 6
    for breaker in breakers.view().values():
        breaker.reset()
    breakers.get("new")
    assert len(breakers) == 2
