"""Targets with a history, and strategies that draw the same each time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from tests.unit.balance.clock import ManualClock
from tool_router.balance.requirements import CallRequest
from tool_router.balance.strategies import (
    StrategySettings,
    WeighingStrategy,
    make_strategy,
)
from tool_router.balance.target_state import TargetSpec, TargetState
from tool_router.balance.window import PerformanceWindow, Result

ANY = CallRequest()


def targets_of(clock: ManualClock, *specs: TargetSpec) -> list[TargetState]:
    return [TargetState(spec, PerformanceWindow(clock)) for spec in specs]


def alike(clock: ManualClock, count: int) -> list[TargetState]:
    return targets_of(clock, *(TargetSpec(f"t{number}") for number in range(count)))


def seeded(name: str, settings: StrategySettings | None = None, seed: int = 1) -> WeighingStrategy:
    return make_strategy(name, settings, random.Random(seed).random)


def chosen(
    strategy: WeighingStrategy,
    targets: Sequence[TargetState],
    calls: int,
    clock: ManualClock,
    request: CallRequest = ANY,
    pause_s: float = 0.15,
) -> Counter[str]:
    """Which targets get calls that are answered at once, each after a pause longer than the refresh."""
    found: Counter[str] = Counter()
    for _ in range(calls):
        clock.advance(pause_s)
        found[targets[strategy.choose(targets, request)].spec.name] += 1
    return found


def teach(target: TargetState, ms: float, calls: int = 50, good: float = 1.0, category: str = "") -> None:
    for number in range(calls):
        result = Result.SUCCESS if number < calls * good else Result.ERROR
        target.window.record(result, ms, category)
