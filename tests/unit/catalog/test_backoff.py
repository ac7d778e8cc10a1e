from __future__ import annotations

import pytest

from tool_router.catalog.backoff import backoff_s


@pytest.mark.parametrize(("failures", "delay"), [(1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0), (100_000, 60.0)])
def test_the_delay_doubles_up_to_its_limit(failures: int, delay: float) -> None:
    assert backoff_s(failures, first_s=1.0, limit_s=60.0, jitter=1.0) == delay


def test_jitter_takes_away_half_at_most() -> None:
    assert backoff_s(3, first_s=1.0, limit_s=60.0, jitter=0.0) == 2.0
