"""A discrete-event simulation of targets behind a strategy, on a clock of its own."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.unit.balance.clock import ManualClock
from tool_router.balance.requirements import CallRequest
from tool_router.balance.strategies import StrategySettings, WeighingStrategy, make_strategy
from tool_router.balance.target_state import TargetSpec, TargetState
from tool_router.balance.window import PerformanceWindow, Result

ANY = CallRequest()


@dataclass(slots=True)
class Law:
    """How a target behaves; tests change it while the simulation runs.

    Attributes:
        mean_ms: of its response times, which are drawn from an Erlang-4 distribution.
        failures: share of its calls that fail, after a twentieth of the time.
        by_category: factor for the response time, by category.
        slots: calls at once beyond which each further one makes all slower in proportion; 0 is no such bound.
        down: whether it can't be called, as if its breaker were open.
    """

    mean_ms: float = 50.0
    failures: float = 0.0
    by_category: Mapping[str, float] = field(default_factory=dict[str, float])
    slots: int = 0
    down: bool = False

    def outcome(self, target: TargetState, request: CallRequest, draw: random.Random) -> tuple[Result, float]:
        mean_ms = self.mean_ms * self.by_category.get(request.category, 1.0)
        if self.slots:
            mean_ms *= max(1.0, target.in_flight / self.slots)
        ms = draw.gammavariate(4.0, mean_ms / 4.0)
        return (Result.ERROR, ms / 20) if draw.random() < self.failures else (Result.SUCCESS, ms)


@dataclass(frozen=True, slots=True)
class Served:
    """A call that has ended."""

    target: str
    result: Result
    latency_ms: float


class Simulation:
    """Calls arrive at random, a strategy sends each to a target, targets answer by their laws."""

    def __init__(
        self,
        strategy: str,
        laws: Mapping[str, Law],
        *,
        specs: Sequence[TargetSpec] = (),
        settings: StrategySettings | None = None,
        seed: int = 1,
    ) -> None:
        self.clock = ManualClock()
        self.draw = random.Random(seed)
        self.laws = laws
        known = {spec.name: spec for spec in specs}
        self.targets = [
            TargetState(known.get(name, TargetSpec(name)), PerformanceWindow(self.clock)) for name in laws
        ]
        self.strategy: WeighingStrategy = make_strategy(strategy, settings, self.draw.random)
        self.most_in_flight: Counter[str] = Counter()
        self._ends: list[tuple[float, int, TargetState, CallRequest, Result, float]] = []
        self._calls = 0

    def target(self, name: str) -> TargetState:
        return next(target for target in self.targets if target.spec.name == name)

    def run(
        self, calls: int, *, per_s: float = 20.0, request: Callable[[int], CallRequest] = lambda number: ANY
    ) -> list[Served]:
        """Let so many calls arrive; returns those that ended meanwhile and afterwards."""
        served: list[Served] = []
        for number in range(calls):
            self._until(self.clock.now + self.draw.expovariate(per_s), served)
            self._arrive(request(number))
        self._until(float("inf"), served)
        return served

    def _arrive(self, request: CallRequest) -> None:
        callable_now = [target for target in self.targets if not self.laws[target.spec.name].down]
        target = callable_now[self.strategy.choose(callable_now, request)]
        target.in_flight += 1
        name = target.spec.name
        self.most_in_flight[name] = max(self.most_in_flight[name], target.in_flight)
        result, ms = self.laws[name].outcome(target, request, self.draw)
        self._calls += 1
        heapq.heappush(self._ends, (self.clock.now + ms / 1000, self._calls, target, request, result, ms))

    def _until(self, at: float, served: list[Served]) -> None:
        while self._ends and self._ends[0][0] <= at:
            ended, _, target, request, result, ms = heapq.heappop(self._ends)
            self.clock.now = ended
            target.in_flight -= 1
            target.window.record(result, ms, request.category)
            served.append(Served(target.spec.name, result, ms))
        if at < float("inf"):
            self.clock.now = at


def counts(served: Sequence[Served]) -> Counter[str]:
    return Counter(one.target for one in served)


def share(served: Sequence[Served], name: str) -> float:
    return counts(served)[name] / len(served)


def p95_ms(served: Sequence[Served]) -> float:
    return sorted(one.latency_ms for one in served)[int(len(served) * 0.95)]
