"""How fast strategies decide and windows record, measured on this machine."""

from __future__ import annotations

import gc
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tool_router.balance.requirements import CallRequest, Requirements
from tool_router.balance.strategies import STRATEGIES, StrategySettings, make_strategy
from tool_router.balance.target_state import TargetSpec, TargetState
from tool_router.balance.window import PerformanceWindow, Result

SEED = 0
TARGETS = 20
DECISIONS = 20_000
IN_FLIGHT = 200
"""Calls that are under way at any time, over all targets."""
LEAST_PER_SECOND = 100_000.0
MOST_DECISION_US = 1000.0
"""The 99th percentile of single decisions."""
MOST_RECORDING_US = 20.0
"""The median. These three are what this project promises for `TARGETS` targets on one core."""
_REGIONS = ("eu", "us", "ap", "sa")
_MODELS = ("small", "large")
_CATEGORIES = ("coding", "testing", "web", "data")


@dataclass(frozen=True, slots=True)
class DecisionSpeed:
    """How fast one strategy decides.

    Attributes:
        strategy: its name.
        targets: how many it chose among.
        decisions: how many were timed, each way.
        per_second: decisions in a second of a core's time, timed as a whole, calls begun and ended included.
        p50_us, p99_us, max_us: of single decisions, in microseconds as they pass, the timing of each and
            whatever else the machine did meanwhile included.
    """

    strategy: str
    targets: int
    decisions: int
    per_second: float
    p50_us: float
    p99_us: float
    max_us: float

    @property
    def reached(self) -> bool:
        """Whether it is as fast as promised."""
        return self.per_second >= LEAST_PER_SECOND and self.p99_us <= MOST_DECISION_US


@dataclass(frozen=True, slots=True)
class RecordingSpeed:
    """How fast a window records outcomes, in microseconds for each, the timing of each included."""

    records: int
    p50_us: float
    p99_us: float
    max_us: float

    @property
    def reached(self) -> bool:
        """Whether it is as fast as promised."""
        return self.p50_us <= MOST_RECORDING_US


@dataclass(frozen=True, slots=True)
class BalancingReport:
    """How fast every strategy decides and a window records."""

    decisions: Sequence[DecisionSpeed]
    recording: RecordingSpeed

    @property
    def reached(self) -> bool:
        """Whether all of it is as fast as promised."""
        return self.recording.reached and all(speed.reached for speed in self.decisions)

    def to_json(self) -> dict[str, Any]:
        """As values that JSON knows, each with whether it is as fast as promised."""
        return {
            "decisions": [asdict(speed) | {"reached": speed.reached} for speed in self.decisions],
            "recording": asdict(self.recording) | {"reached": self.recording.reached},
            "promised": {
                "per_second": LEAST_PER_SECOND,
                "p99_us": MOST_DECISION_US,
                "recording_p50_us": MOST_RECORDING_US,
            },
            "reached": self.reached,
        }


def measure_balancing(
    decisions: int = DECISIONS, on_progress: Callable[[str], None] = lambda what: None
) -> BalancingReport:
    """Measure every strategy, one after the other, then recording.

    Args:
        decisions: how many decisions of each strategy are timed, and how many outcomes are recorded.
        on_progress: told what is measured next.
    """
    speeds: list[DecisionSpeed] = []
    for name in STRATEGIES:
        on_progress(name)
        speeds.extend(measure_decisions([name], decisions=decisions))
    on_progress("recording")
    return BalancingReport(tuple(speeds), measure_recording(decisions))


def measure_decisions(
    strategies: Sequence[str] = STRATEGIES,
    *,
    targets: int = TARGETS,
    decisions: int = DECISIONS,
    settings: StrategySettings | None = None,
) -> Sequence[DecisionSpeed]:
    """Let each strategy decide about requests of many kinds among targets with a history.

    One request in four has requirements; targets differ in region, models, weight, capacity and price. Each
    decision begins a call and ends the oldest one under way. Outcomes are not recorded between decisions, so
    that only deciding is timed; scores are refreshed all the same.

    Args:
        strategies: their names.
        targets: how many there are.
        decisions: how many are timed.
        settings: of the strategies.
    """
    return [_decisions(name, targets, decisions, settings) for name in strategies]


def measure_recording(records: int = DECISIONS) -> RecordingSpeed:
    """Record outcomes of every kind, with categories, in one window."""
    draw = random.Random(SEED)  # noqa: S311  # a workload, not a secret
    window = PerformanceWindow(time.monotonic)
    outcomes = [
        (
            draw.choices(tuple(Result), (90, 5, 3, 2))[0],
            draw.lognormvariate(4.0, 1.0),
            draw.choice(("", *_CATEGORIES)),
        )
        for _ in range(records)
    ]
    times: list[float] = []
    for result, latency_ms, category in outcomes:
        started = time.perf_counter()
        window.record(result, latency_ms, category)
        times.append(time.perf_counter() - started)
    p50, p99, most = _spread_us(times)
    return RecordingSpeed(records, p50, p99, most)


def _decisions(name: str, targets: int, decisions: int, settings: StrategySettings | None) -> DecisionSpeed:
    draw = random.Random(SEED)  # noqa: S311  # a workload, not a secret
    states = sample_targets(targets, draw)
    requests = sample_requests(draw)
    strategy = make_strategy(name, settings, draw.random)
    under_way = deque(draw.choice(states) for _ in range(IN_FLIGHT))
    for state in under_way:
        state.in_flight += 1
    kinds = len(requests)
    gc.collect()
    # The time of this thread alone: what other programs do is no part of what a core can do.
    started = time.thread_time()
    for number in range(decisions):
        chosen = states[strategy.choose(states, requests[number % kinds])]
        chosen.in_flight += 1
        under_way.append(chosen)
        under_way.popleft().in_flight -= 1
    whole_s = time.thread_time() - started
    times: list[float] = []
    for number in range(decisions):
        request = requests[number % kinds]
        begun = time.perf_counter()
        chosen = states[strategy.choose(states, request)]
        times.append(time.perf_counter() - begun)
        chosen.in_flight += 1
        under_way.append(chosen)
        under_way.popleft().in_flight -= 1
    p50, p99, most = _spread_us(times)
    return DecisionSpeed(name, targets, decisions, decisions / whole_s, p50, p99, most)


def sample_targets(count: int, draw: random.Random) -> list[TargetState]:
    """Targets that differ in everything, each with 500 calls of history."""
    states: list[TargetState] = []
    for number in range(count):
        spec = TargetSpec(
            f"target-{number}",
            weight=draw.choice((1.0, 2.0, 3.0)),
            region=_REGIONS[number % len(_REGIONS)],
            models=frozenset(_MODELS[: 1 + number % len(_MODELS)]),
            labels=frozenset({"gpu"} if number % 2 else ()),
            capacity=draw.choice((0, 50, 100)),
            price=draw.choice((0.0, 1.0, 2.0)),
        )
        state = TargetState(spec, PerformanceWindow(time.monotonic))
        mean_ms = draw.uniform(50.0, 500.0)
        for _ in range(500):
            result = Result.SUCCESS if draw.random() < 0.97 else Result.ERROR
            state.window.record(result, draw.expovariate(1.0 / mean_ms), draw.choice(_CATEGORIES))
        states.append(state)
    return states


def sample_requests(draw: random.Random) -> Sequence[CallRequest]:
    """Requests of many kinds; one in four has requirements."""
    wishes = (
        Requirements(max_latency_ms=250.0),
        Requirements(min_reliability=0.9, urgency=0.5),
        Requirements(preferred=frozenset({"target-1", "target-2"})),
    )
    return [
        CallRequest(
            draw.choice(_CATEGORIES),
            draw.choice(_REGIONS),
            draw.choice(_MODELS),
            frozenset({"gpu"} if draw.random() < 0.25 else ()),
            *([draw.choice(wishes)] if number % 4 == 0 else []),
        )
        for number in range(32)
    ]


def _spread_us(times_s: Sequence[float]) -> tuple[float, float, float]:
    """Median, 99th percentile and maximum, in microseconds."""
    ordered = sorted(times_s)
    last = len(ordered) - 1
    return ordered[last // 2] * 1e6, ordered[int(0.99 * last)] * 1e6, ordered[last] * 1e6
