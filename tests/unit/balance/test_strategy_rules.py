"""What every strategy holds to."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.balance.clock import ManualClock
from tests.unit.balance.targets import ANY, alike, chosen, seeded, targets_of, teach
from tool_router.balance.requirements import CallRequest, Requirements, with_labels
from tool_router.balance.strategies import (
    STRATEGIES,
    AdaptiveSettings,
    ScoreWeights,
    StrategySettings,
    make_strategy,
)
from tool_router.balance.target_state import TargetSpec
from tool_router.balance.window import Result
from tool_router.errors import NoTargetFits


@pytest.mark.parametrize("name", STRATEGIES)
@given(data=st.data())
def test_every_strategy_chooses_one_of_the_targets_it_is_given(name: str, data: st.DataObject) -> None:
    clock = ManualClock()
    draw = random.Random(data.draw(st.integers(0, 99)))
    targets = targets_of(
        clock,
        *(
            TargetSpec(
                f"t{number}",
                weight=draw.choice((0.1, 1.0, 7.0)),
                region=draw.choice(("", "eu", "us")),
                models=frozenset(draw.sample(("a", "b"), draw.randrange(3))),
                labels=frozenset(draw.sample(("x", "y"), draw.randrange(3))),
                capacity=draw.choice((0, 1, 50)),
                price=draw.choice((0.0, 2.0)),
            )
            for number in range(6)
        ),
    )
    strategy = seeded(name)
    for _ in range(8):
        clock.advance(draw.choice((0.0, 0.05, 200.0)))
        some = draw.sample(targets, draw.randrange(1, 7))
        for target in some:
            target.in_flight = draw.randrange(100)
            target.share = draw.choice((0.1, 1.0, 1.0))
            target.window.record(draw.choice(list(Result)), draw.expovariate(0.01), draw.choice(("", "web")))
        request = CallRequest(
            draw.choice(("", "web")),
            draw.choice(("", "eu", "mars")),
            draw.choice(("", "a", "c")),
            frozenset(draw.sample(("x", "y"), draw.randrange(3))),
            draw.choice((Requirements(), Requirements(50.0, 0.9, 0.9, frozenset({"t1"}), 0.5))),
        )
        fit = with_labels(some, request)
        if fit:
            assert some[strategy.choose(some, request)] in fit
            assert len(strategy.weigh(some, request).targets) == len(some)
        else:
            with pytest.raises(NoTargetFits, match="labels"):
                strategy.choose(some, request)


@pytest.mark.parametrize("name", STRATEGIES)
def test_equal_targets_get_equal_shares_and_one_that_recovers_its_share_of_that(
    name: str, clock: ManualClock
) -> None:
    targets = alike(clock, 4)
    targets[1].share = 0.25

    found = chosen(seeded(name), targets, 4000, clock)

    assert found["t1"] / 4000 == pytest.approx(0.25 / 4, abs=0.015)
    for other in ("t0", "t2", "t3"):
        assert found[other] / 4000 == pytest.approx((1 - 0.25 / 4) / 3, abs=0.03)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_last_target_gets_the_call_however_small_its_share(name: str, clock: ManualClock) -> None:
    targets = alike(clock, 3)
    for target in targets:
        target.share = 0.001
    strategy = seeded(name)

    assert {strategy.choose(targets, ANY) for _ in range(300)} <= {0, 1, 2}
    assert strategy.choose(targets[:1], ANY) == 0


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_target_without_the_required_labels_never_gets_the_call(name: str, clock: ManualClock) -> None:
    targets = targets_of(
        clock,
        TargetSpec("plain", weight=100.0),
        TargetSpec("gpu", labels=frozenset({"gpu", "eu"})),
        TargetSpec("half", labels=frozenset({"gpu"})),
    )

    found = chosen(seeded(name), targets, 300, clock, CallRequest(labels=frozenset({"gpu", "eu"})))

    assert found == {"gpu": 300}


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize(
    ("wish", "left"),
    [
        (Requirements(max_latency_ms=100.0), {"quick", "flaky", "unknown"}),
        (Requirements(min_reliability=0.8), {"quick", "slow", "unknown"}),
        (Requirements(min_quality=0.6), {"slow"}),
        (Requirements(preferred=frozenset({"slow", "flaky"})), {"slow", "flaky"}),
        (Requirements(max_latency_ms=100.0, min_reliability=0.8), {"quick", "unknown"}),
    ],
)
def test_targets_that_fall_short_of_a_wish_are_left_out(
    name: str, wish: Requirements, left: set[str], clock: ManualClock
) -> None:
    targets = targets_of(
        clock,
        *(TargetSpec(one) for one in ("quick", "flaky", "unknown")),
        TargetSpec("slow", quality=0.9),
    )
    teach(targets[0], 20.0)
    teach(targets[1], 20.0, good=0.5)
    teach(targets[3], 400.0)

    assert set(chosen(seeded(name), targets, 200, clock, CallRequest(requirements=wish), 0.01)) <= left


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_wish_that_none_can_meet_is_passed_over_and_stated_while_the_others_hold(
    name: str, clock: ManualClock
) -> None:
    targets = alike(clock, 3)
    for target, ms in zip(targets, (100.0, 200.0, 300.0), strict=True):
        teach(target, ms)
    wish = Requirements(max_latency_ms=1.0, preferred=frozenset({"t2"}))
    strategy = seeded(name)

    assert chosen(strategy, targets, 50, clock, CallRequest(requirements=wish), 0.01) == {"t2": 50}
    assert strategy.weigh(targets, CallRequest(requirements=wish)).unmet == ("response time of at most 1 ms",)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_changed_specification_counts_at_the_next_refresh(name: str, clock: ManualClock) -> None:
    targets = alike(clock, 3)
    strategy = seeded(name)
    chosen(strategy, targets, 20, clock)

    targets[2].spec = replace(targets[2].spec, labels=frozenset({"gpu"}))
    clock.advance(0.1)

    assert targets[strategy.choose(targets, CallRequest(labels=frozenset({"gpu"})))] is targets[2]


def test_a_name_that_is_no_strategy_is_refused_with_the_names_that_are() -> None:
    with pytest.raises(ValueError, match=r"best.*round_robin.*adaptive"):
        make_strategy("best")


@pytest.mark.parametrize(
    "make",
    [
        lambda: StrategySettings(explore=1.5),
        lambda: StrategySettings(temperature=0.0),
        lambda: StrategySettings(refresh_s=-1.0),
        lambda: ScoreWeights(latency=-0.1),
        lambda: ScoreWeights(0.0, 0.0, 0.0, 1.0),
        lambda: AdaptiveSettings(learning_rate=2.0),
        lambda: AdaptiveSettings(load=0.0, history=0.0, real_time=0.0),
        lambda: AdaptiveSettings(most_change=0.5),
        lambda: Requirements(max_latency_ms=0.0),
        lambda: Requirements(urgency=1.1),
        lambda: TargetSpec("t", weight=0.0),
        lambda: TargetSpec("t", capacity=-1),
        lambda: TargetSpec("t", quality=2.0),
    ],
)
def test_settings_out_of_range_are_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError):
        make()


@pytest.mark.parametrize("name", STRATEGIES)
def test_scores_follow_the_windows_within_the_refresh_time(name: str, clock: ManualClock) -> None:
    settings = StrategySettings(refresh_s=0.1)
    targets = alike(clock, 2)
    strategy = seeded(name, settings)
    wish = CallRequest(requirements=Requirements(max_latency_ms=100.0))
    strategy.choose(targets, wish)
    teach(targets[0], 500.0)

    clock.advance(0.1)

    assert {strategy.choose(targets, wish) for _ in range(50)} == {1}


@pytest.mark.parametrize("name", STRATEGIES)
def test_memory_stays_bounded_with_requests_and_targets_that_never_come_again(
    name: str, clock: ManualClock
) -> None:
    strategy = seeded(name)
    targets = alike(clock, 5)

    passing = alike(clock, 100)

    def churn(rounds: int) -> None:
        for number in range(rounds):
            some = [*targets, passing[number % len(passing)]]
            wish = Requirements(max_latency_ms=1.0 + number)
            request = CallRequest(f"c{number}", f"r{number}", f"m{number}", requirements=wish)
            strategy.choose(some, request)
            strategy.choose(targets, request)

    tracemalloc.start()
    try:
        churn(1200)
        _, most = tracemalloc.get_traced_memory()
        clock.advance(1.0)
        strategy.choose(targets, ANY)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2_500_000
    # The interpreter keeps some thousand emptied tuples for reuse.
    assert after < 600_000


@pytest.mark.parametrize("name", STRATEGIES)
def test_sets_of_targets_that_change_with_every_decision_take_bounded_memory(
    name: str, clock: ManualClock
) -> None:
    targets = alike(clock, 30)
    strategy = seeded(name)
    draw = random.Random(1)

    def decide(times: int) -> None:
        for _ in range(times):
            some = draw.sample(targets, 15)
            some[strategy.choose(some, ANY)].in_flight += 1

    decide(50)
    tracemalloc.start()
    try:
        decide(400)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 300_000
