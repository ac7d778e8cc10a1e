"""A person's verdict rates the target that answered, once."""

from __future__ import annotations

import pytest

from tests.unit.balance.clock import ManualClock
from tool_router.balance.pool import Pool
from tool_router.balance.ratings import Ratings
from tool_router.balance.selecting import Selecting
from tool_router.balance.target_state import TargetSpec
from tool_router.learning.outcome import Verdict


@pytest.mark.parametrize(("verdict", "quality"), [(Verdict.GOOD, 1.0), (Verdict.BAD, 0.0)])
def test_a_verdict_rates_the_target_that_answered_once(
    clock: ManualClock, verdict: Verdict, quality: float
) -> None:
    pool = Pool[str](Selecting("random"), clock=clock)
    for name in ("a", "b"):
        pool.add(TargetSpec(name), name)
    ratings = Ratings(pool)
    ratings.answered("1", "a", "file")
    ratings.judged("1", Verdict.REPLACED)
    for _ in range(2):
        ratings.judged("1", verdict)
    ratings.judged("2", verdict)
    summary = pool.get("a").state.window.summary()
    assert (summary.quality, summary.rated) == (quality, 1)
    assert pool.get("b").state.window.summary().rated == 0
