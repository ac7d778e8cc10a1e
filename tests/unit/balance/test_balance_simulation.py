"""What each strategy promises, under simulated load."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from tests.unit.balance.simulation import Law, Simulation, counts, p95_ms, share
from tool_router.balance.requirements import CallRequest
from tool_router.balance.strategies import STRATEGIES
from tool_router.balance.target_state import TargetSpec
from tool_router.balance.window import Result

SCORED = ["performance", "affinity", "hybrid", "adaptive"]


def five(**changed: Law) -> dict[str, Law]:
    return {name: changed.get(name, Law()) for name in "abcde"}


@pytest.mark.parametrize("name", ["performance", "affinity", "adaptive", "hybrid"])
@pytest.mark.parametrize(("mean_ms", "failures"), [(600.0, 0.0), (50.0, 0.9)], ids=["slow", "failing"])
def test_a_bad_target_is_avoided_yet_tried_and_found_again_when_it_recovers(
    name: str, mean_ms: float, failures: float
) -> None:
    bad = Law(mean_ms, failures)
    simulation = Simulation(name, five(c=bad))
    simulation.run(500)
    while_bad = simulation.run(2000)
    bad.mean_ms, bad.failures = 20.0, 0.0
    simulation.run(6000)
    recovered = simulation.run(2000)

    assert 0 < share(while_bad, "c") < 0.06
    assert share(recovered, "c") > 0.15


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_going_by_what_was_measured_beats_chance_on_the_slowest_calls(name: str, seed: int) -> None:
    def run(strategy: str) -> float:
        laws = {
            "a": Law(30.0, slots=8),
            "b": Law(40.0, slots=8),
            "c": Law(60.0, slots=4),
            "d": Law(250.0, slots=2),
            "e": Law(500.0, slots=2),
        }
        simulation = Simulation(strategy, laws, seed=seed)
        simulation.run(500, per_s=60.0)
        return p95_ms(simulation.run(3000, per_s=60.0))

    assert run(name) < 0.5 * run("random")


@pytest.mark.parametrize("name", ["performance", "affinity", "adaptive"])
def test_it_is_noticed_within_seconds_that_a_good_target_has_become_slow(name: str) -> None:
    laws = five(a=Law(20.0))
    simulation = Simulation(name, laws)
    before = simulation.run(3000)
    laws["a"].mean_ms = 800.0
    simulation.run(100)
    after = simulation.run(300)

    assert share(before, "a") > 0.3
    assert share(after, "a") < 0.1


def test_affinity_sends_each_category_where_it_is_done_best() -> None:
    laws = {
        "coder": Law(50.0, by_category={"web": 6.0}),
        "surfer": Law(50.0, by_category={"coding": 6.0}),
    }
    simulation = Simulation("affinity", laws)

    def of(category: str) -> CallRequest:
        return CallRequest(category)

    simulation.run(800, request=lambda number: of("web" if number % 2 else "coding"))

    assert share(simulation.run(400, request=lambda number: of("coding")), "coder") > 0.9
    assert share(simulation.run(400, request=lambda number: of("web")), "surfer") > 0.9


def test_geo_leaves_its_region_while_that_is_down_or_failing_and_returns() -> None:
    specs = [TargetSpec("eu", region="eu"), TargetSpec("us", region="us")]
    laws = {"eu": Law(200.0), "us": Law(10.0)}
    simulation = Simulation("geo", laws, specs=specs)

    def eu(number: int) -> CallRequest:
        return CallRequest(region="eu")

    assert share(simulation.run(500, request=eu), "eu") == 1
    laws["eu"].down = True
    assert share(simulation.run(500, request=eu), "us") == 1
    laws["eu"].down, laws["eu"].failures = False, 1.0
    simulation.run(300, request=eu)
    assert share(simulation.run(1000, request=eu), "us") > 0.9
    laws["eu"].failures = 0.0
    simulation.run(8000, request=eu)
    assert share(simulation.run(500, request=eu), "eu") == 1


def test_round_robin_and_weighted_keep_their_proportions_under_load() -> None:
    specs = [TargetSpec("a", weight=3.0), TargetSpec("b", weight=2.0), TargetSpec("c")]
    laws = {"a": Law(10.0), "b": Law(100.0), "c": Law(1000.0, failures=0.5)}

    assert set(counts(Simulation("round_robin", laws, specs=specs).run(600)).values()) == {200}
    weighted = counts(Simulation("weighted", laws, specs=specs).run(600))
    assert [weighted[name] for name in "abc"] == pytest.approx([300, 200, 100], abs=1)


@pytest.mark.parametrize("name", ["least_loaded", "power_of_two"])
def test_load_is_levelled_between_quick_and_slow_targets(name: str) -> None:
    laws = {name: Law(ms) for name, ms in zip("abcd", (50.0, 100.0, 200.0, 400.0), strict=True)}
    levelled = Simulation(name, laws)
    drawn = Simulation("random", laws)
    levelled.run(3000, per_s=200.0)
    drawn.run(3000, per_s=200.0)

    assert max(levelled.most_in_flight.values()) < 0.6 * max(drawn.most_in_flight.values())
    most, least = max(levelled.most_in_flight.values()), min(levelled.most_in_flight.values())
    assert most - least <= 0.5 * most


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_same_seed_makes_the_same_decisions(name: str) -> None:
    def run() -> list[str]:
        laws = five(b=Law(200.0), d=Law(failures=0.3))
        return [one.target for one in Simulation(name, laws, seed=9).run(400)]

    assert run() == run()


@pytest.mark.parametrize("name", STRATEGIES)
def test_thousands_of_calls_in_flight_are_counted_and_lost_by_nobody(name: str) -> None:
    simulation = Simulation(name, {f"t{number}": Law(20_000.0) for number in range(20)})
    served = simulation.run(3000, per_s=1000.0)

    assert len(served) == 3000
    assert sum(simulation.most_in_flight.values()) > 1000
    assert all(target.in_flight == 0 for target in simulation.targets)
    assert sum(target.window.lifetime().requests for target in simulation.targets) == 3000
    assert {one.result for one in served} == {Result.SUCCESS}


def test_a_long_run_leaves_memory_as_it_was() -> None:
    tracemalloc.start()
    try:
        simulation = Simulation("adaptive", {f"t{number}": Law(20.0) for number in range(20)})
        simulation.run(1300, per_s=4.0)
        # In a large process garbage waits long for the collector.
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        simulation.run(1300, per_s=4.0)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 30_000
