"""The measurement of deciding and recording, and that neither is far from its figure."""

from __future__ import annotations

import pytest

from tool_router.balance.strategies import STRATEGIES
from tool_router.evaluation.balancing import measure_decisions, measure_recording

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_measured_and_decides_in_microseconds(name: str) -> None:
    (speed,) = measure_decisions([name], decisions=2000)

    assert (speed.strategy, speed.targets, speed.decisions) == (name, 20, 2000)
    assert 0 < speed.p50_us <= speed.p99_us <= speed.max_us
    # The figures are 100,000 a second and 1 ms; `tool-router bench balance` holds to them on a quiet machine.
    assert speed.per_second > 15_000
    assert speed.p99_us < 5000


def test_recording_is_measured() -> None:
    speed = measure_recording(2000)

    assert speed.records == 2000
    assert 0 < speed.p50_us <= speed.p99_us <= speed.max_us
