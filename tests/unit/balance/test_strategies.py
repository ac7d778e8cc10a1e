"""What each strategy promises for a decision."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.unit.balance.clock import ManualClock
from tests.unit.balance.targets import ANY, alike, chosen, seeded, targets_of, teach
from tool_router.balance.requirements import CallRequest
from tool_router.balance.target_state import TargetSpec, TargetState


@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_round_robin_gives_every_target_the_same_to_within_one_call(count: int, clock: ManualClock) -> None:
    targets = alike(clock, count)
    strategy = seeded("round_robin")
    found = Counter({target.spec.name: 0 for target in targets})

    for _ in range(5 * count + 3):
        found[targets[strategy.choose(targets, ANY)].spec.name] += 1
        assert max(found.values()) - min(found.values()) <= 1


def test_in_round_robin_a_target_that_returns_does_not_make_up_for_its_absence(clock: ManualClock) -> None:
    targets = alike(clock, 3)
    strategy = seeded("round_robin")
    chosen(strategy, targets[:2], 100, clock)

    found = chosen(strategy, targets, 30, clock)

    assert max(found.values()) - min(found.values()) <= 1


def test_in_round_robin_calls_only_one_target_can_take_do_not_starve_it_of_others(
    clock: ManualClock,
) -> None:
    targets = targets_of(clock, TargetSpec("a", labels=frozenset({"gpu"})), TargetSpec("b"), TargetSpec("c"))
    strategy = seeded("round_robin")
    chosen(strategy, targets, 1000, clock, CallRequest(labels=frozenset({"gpu"})))

    assert min(chosen(strategy, targets, 30, clock)[name] for name in "abc") >= 8


@pytest.mark.parametrize("weights", [(5, 1, 1), (3, 2, 1), (1, 1, 1, 1), (0.5, 0.25, 0.25)])
def test_weighted_shares_are_exact_over_a_round_and_spread_within_it(
    weights: tuple[float, ...], clock: ManualClock
) -> None:
    targets = targets_of(clock, *(TargetSpec(f"t{n}", weight=weight) for n, weight in enumerate(weights)))
    strategy = seeded("weighted")
    order = [strategy.choose(targets, ANY) for _ in range(700)]

    total = sum(weights)
    for length in (7, 30, 100, 700):
        for start in (0, 13, 350):
            part = order[start : start + length]
            for number, weight in enumerate(weights):
                assert part.count(number) == pytest.approx(len(part) * weight / total, abs=1.5)


def test_a_heavy_target_does_not_get_its_calls_in_one_run(clock: ManualClock) -> None:
    targets = targets_of(clock, TargetSpec("heavy", weight=5), TargetSpec("a"), TargetSpec("b"))
    strategy = seeded("weighted")
    order = [strategy.choose(targets, ANY) for _ in range(70)]

    assert "00000" not in "".join(map(str, order))


def test_least_loaded_fills_targets_in_proportion_to_what_they_bear(clock: ManualClock) -> None:
    big, small = TargetSpec("big", capacity=60), TargetSpec("small", capacity=20)
    targets = targets_of(clock, big, small, TargetSpec("half", weight=0.5))
    strategy = seeded("least_loaded")
    for _ in range(100):
        targets[strategy.choose(targets, ANY)].in_flight += 1

    # 40 calls for a unit of weight on average, so that `half` bears 20.
    assert [target.in_flight for target in targets] == [60, 20, 20]


def test_the_better_of_two_keeps_the_fullest_target_near_the_mean_where_one_does_not(
    clock: ManualClock,
) -> None:
    fullest: dict[str, int] = {}
    for name in ("random", "power_of_two", "performance"):
        targets = alike(clock, 20)
        strategy = seeded(name)
        for _ in range(1000):
            targets[strategy.choose(targets, ANY)].in_flight += 1
        fullest[name] = max(target.in_flight for target in targets)

    assert fullest["power_of_two"] <= 50 + 4
    assert fullest["performance"] <= 50 + 6
    assert fullest["random"] >= 50 + 8


@pytest.mark.parametrize("name", ["performance", "affinity", "hybrid", "adaptive"])
def test_a_burst_before_any_answer_spreads_over_good_targets(name: str, clock: ManualClock) -> None:
    targets = alike(clock, 5)
    for target, ms in zip(targets, (40.0, 42.0, 44.0, 46.0, 48.0), strict=True):
        teach(target, ms)
    strategy = seeded(name)
    for _ in range(500):
        targets[strategy.choose(targets, ANY)].in_flight += 1

    assert max(target.in_flight for target in targets) <= 250
    assert min(target.in_flight for target in targets) >= 20


@pytest.mark.parametrize("name", ["performance", "affinity", "adaptive"])
def test_of_equal_targets_the_cheaper_one_is_preferred(name: str, clock: ManualClock) -> None:
    targets = targets_of(clock, TargetSpec("dear", price=2.0), TargetSpec("cheap", price=0.5))
    for target in targets:
        teach(target, 50.0)

    found = chosen(seeded(name), targets, 400, clock, pause_s=0.01)

    assert found["cheap"] > 2 * found["dear"]


def test_a_price_does_not_count_where_no_target_has_one(clock: ManualClock) -> None:
    targets = alike(clock, 2)
    (first, _) = seeded("performance").weigh(targets, ANY).targets

    assert set(first.factors) == {"latency", "reliability", "quality", "score"}
    assert first.factors["score"] == pytest.approx(0.4 * 0.95 + 0.3 * 0.95 + 0.3 * 0.5)


@pytest.mark.parametrize("name", ["performance", "affinity", "hybrid", "adaptive"])
def test_feedback_on_answers_moves_calls_to_better_ones(name: str, clock: ManualClock) -> None:
    targets = alike(clock, 2)
    for target, quality in zip(targets, (0.2, 0.9), strict=True):
        teach(target, 50.0)
        for _ in range(20):
            target.window.feedback(quality)

    found = chosen(seeded(name), targets, 400, clock, pause_s=0.01)

    assert found["t1"] > 0.9 * 400


@pytest.mark.parametrize("name", ["affinity", "hybrid"])
def test_what_did_best_for_the_category_gets_its_tasks(name: str, clock: ManualClock) -> None:
    targets = alike(clock, 2)
    for target, coding_ms, web_ms in zip(targets, (20.0, 200.0), (200.0, 20.0), strict=True):
        for _ in range(50):
            teach(target, coding_ms, 1, category="coding")
            teach(target, web_ms, 1, category="web")
    strategy = seeded(name)

    assert chosen(strategy, targets, 300, clock, CallRequest("coding"), 0.01)["t0"] > 270
    assert chosen(strategy, targets, 300, clock, CallRequest("web"), 0.01)["t1"] > 270


def in_regions(clock: ManualClock) -> list[TargetState]:
    return targets_of(
        clock, TargetSpec("eu1", region="eu"), TargetSpec("eu2", region="eu"), TargetSpec("us1", region="us")
    )


def test_geo_stays_in_the_region_while_a_target_there_can_be_called(clock: ManualClock) -> None:
    targets = in_regions(clock)
    strategy, near = seeded("geo"), CallRequest(region="eu")
    targets[0].in_flight = targets[1].in_flight = 1000

    assert set(chosen(strategy, targets, 300, clock, near)) == {"eu1", "eu2"}
    assert chosen(strategy, targets[1:], 300, clock, near) == {"eu2": 300}
    assert chosen(strategy, targets[2:], 300, clock, near) == {"us1": 300}
    assert strategy.weigh(targets[2:], near).unmet == ("region eu",)


def test_geo_leaves_a_region_that_fails_but_tries_it_again(clock: ManualClock) -> None:
    targets = in_regions(clock)
    for target in targets:
        teach(target, 50.0, good=1.0 if target.spec.region == "us" else 0.1)

    found = chosen(seeded("geo"), targets, 2000, clock, CallRequest(region="eu"), 0.01)

    assert found["us1"] > 0.95 * 2000
    assert found["eu1"] > 0
    assert found["eu2"] > 0


def test_a_request_without_a_region_goes_anywhere(clock: ManualClock) -> None:
    assert len(chosen(seeded("geo"), in_regions(clock), 300, clock)) == 3


@pytest.mark.parametrize("name", ["model", "hybrid", "adaptive"])
def test_a_model_is_asked_of_those_that_serve_it_then_of_those_that_do_not_tell(
    name: str, clock: ManualClock
) -> None:
    targets = targets_of(
        clock,
        TargetSpec("a", models=frozenset({"llama"})),
        TargetSpec("b", models=frozenset({"qwen"})),
        TargetSpec("untold"),
    )
    strategy = seeded(name)

    assert chosen(strategy, targets, 200, clock, CallRequest(model="qwen")) == {"b": 200}
    assert chosen(strategy, targets, 200, clock, CallRequest(model="gemma")) == {"untold": 200}
    assert set(chosen(strategy, targets[:2], 200, clock, CallRequest(model="gemma"))) <= {"a", "b"}
    assert strategy.weigh(targets[:2], CallRequest(model="gemma")).unmet == ("model gemma",)
