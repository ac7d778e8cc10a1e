"""A choice says why it was made, and what else there was."""

from __future__ import annotations

import json
import random

import pytest

from tests.unit.balance.clock import ManualClock
from tool_router.balance.choice import MOST_ALTERNATIVES, Choice, decide
from tool_router.balance.requirements import CallRequest, Requirements
from tool_router.balance.strategies import STRATEGIES, StrategySettings, make_strategy
from tool_router.balance.target_state import TargetSpec, TargetState
from tool_router.balance.window import PerformanceWindow, Result


def targets_of(clock: ManualClock, *specs: TargetSpec) -> list[TargetState]:
    return [TargetState(spec, PerformanceWindow(clock)) for spec in specs]


def teach(target: TargetState, ms: float, good: float = 1.0) -> None:
    for number in range(50):
        target.window.record(Result.SUCCESS if number < 50 * good else Result.ERROR, ms)


def decided(name: str, targets: list[TargetState], request: CallRequest | None = None) -> Choice:
    settings = StrategySettings(explore=0.0, temperature=0.001)
    strategy = make_strategy(name, settings, random.Random(1).random)
    return decide(strategy, targets, request or CallRequest())


def reasons(choice: Choice) -> dict[str, str]:
    return {other.target: other.reason for other in choice.explain().alternatives}


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_explains_itself_in_json(name: str, clock: ManualClock) -> None:
    targets = targets_of(clock, *(TargetSpec(f"t{n}", region="eu", price=n) for n in range(3)))
    teach(targets[0], 40.123456)
    request = CallRequest("web", "eu", "m", requirements=Requirements(100.0, 0.4, 0.5, urgency=0.5))

    choice = decided(name, targets, request)
    told = choice.explain().to_json()

    assert json.loads(json.dumps(told)) == told
    assert told["target"] == choice.target.spec.name == targets[choice.index].spec.name
    assert told["strategy"] == name
    assert told["factors"]
    assert {told["target"], *(other["target"] for other in told["alternatives"])} == {"t0", "t1", "t2"}
    assert all(other["reason"] for other in told["alternatives"])


def test_the_explanation_tells_the_factors_and_what_is_expected(clock: ManualClock) -> None:
    targets = targets_of(clock, TargetSpec("quick", capacity=10), TargetSpec("slow", capacity=10))
    teach(targets[0], 40.0)
    teach(targets[1], 400.0)
    targets[0].in_flight = 2

    explanation = decided("performance", targets).explain()

    assert explanation.target == "quick"
    assert explanation.expected_latency_ms == pytest.approx(40.0)
    assert (explanation.load_before, explanation.load_after) == pytest.approx((0.2, 0.3))
    assert set(explanation.factors) == {"latency", "reliability", "quality", "score"}
    (other,) = explanation.alternatives
    assert other.expected_latency_ms == pytest.approx(400.0)
    assert other.reason == "its latency is 0.11, not 1.00"
    assert other.factors["score"] < explanation.factors["score"]


def test_the_impact_is_that_at_the_time_of_the_choice_also_when_the_call_counts_already(
    clock: ManualClock,
) -> None:
    targets = targets_of(clock, TargetSpec("only", capacity=10))
    choice = decided("least_loaded", targets)
    choice.target.in_flight += 1

    assert (choice.explain().load_before, choice.explain().load_after) == (0.0, 0.1)


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_was_left_out_is_listed_after_the_candidates_with_the_reason(
    name: str, clock: ManualClock
) -> None:
    gpu = frozenset({"gpu"})
    targets = targets_of(
        clock,
        TargetSpec("none"),
        TargetSpec("slow", labels=gpu),
        TargetSpec("flaky", labels=gpu),
        TargetSpec("good", labels=gpu),
        TargetSpec("fine", labels=gpu),
    )
    for target, ms, good in zip(targets[1:], (400.0, 20.0, 20.0, 20.0), (1.0, 0.5, 1.0, 1.0), strict=True):
        teach(target, ms, good)
    wishes = Requirements(max_latency_ms=100.0, min_reliability=0.9)

    choice = decided(name, targets, CallRequest(labels=gpu, requirements=wishes))

    told = reasons(choice)
    assert next(iter(told)) in {"good", "fine"}
    assert told["none"] == "it lacks gpu"
    assert told["slow"] == "it takes about 400 ms"
    assert told["flaky"].startswith("its reliability is 0.")


def test_a_recovering_target_is_passed_over_for_that_reason(clock: ManualClock) -> None:
    targets = targets_of(clock, TargetSpec("a"), TargetSpec("b"))
    targets[0].share = 0.0

    assert reasons(decided("round_robin", targets)) == {
        "a": "it recovers and gets 0% of its normal share",
    }


def test_targets_that_are_as_good_lose_by_the_draw(clock: ManualClock) -> None:
    targets = targets_of(clock, TargetSpec("a"), TargetSpec("b"))

    assert set(reasons(decided("random", targets)).values()) == {
        "it is as good; the turn or the draw decided"
    }


def test_wishes_that_were_passed_over_are_stated(clock: ManualClock) -> None:
    targets = targets_of(clock, TargetSpec("a"))

    request = CallRequest(requirements=Requirements(min_quality=0.9, preferred=frozenset({"z"})))

    assert decided("random", targets, request).explain().unmet == ("quality of at least 0.9", "one of z")


def test_the_best_alternatives_are_told_when_there_are_many(clock: ManualClock) -> None:
    targets = targets_of(clock, *(TargetSpec(f"t{n}", quality=n / 10) for n in range(10)))

    told = decided("performance", targets).explain().alternatives

    assert [other.target for other in told] == ["t8", "t7", "t6", "t5", "t4"][:MOST_ALTERNATIVES]


@pytest.mark.parametrize("name", STRATEGIES)
def test_asking_changes_no_later_choice(name: str, clock: ManualClock) -> None:
    def run(ask: bool) -> list[int]:
        targets = targets_of(clock, *(TargetSpec(f"t{n}", weight=n + 1) for n in range(4)))
        strategy = make_strategy(name, None, random.Random(3).random)
        found: list[int] = []
        for _ in range(40):
            choice = decide(strategy, targets, CallRequest("web"))
            if ask:
                choice.explain()
            found.append(choice.index)
            choice.target.in_flight += 1
        return found

    assert run(ask=True) == run(ask=False)
