"""What the settings make of the balancer."""

from __future__ import annotations

from typing import Any

import pytest

from tool_router.balance.assembly import health_settings
from tool_router.balance.health import CHECK_LIMIT_S
from tool_router.config import Settings


def settings(health_s: float, **gateway: Any) -> Settings:
    return Settings.model_validate(
        {"gateway": {"url": "http://a", **gateway}, "balance": {"health_s": health_s}}
    )


@pytest.mark.parametrize(("health_s", "limit_s"), [(1.0, 1.0), (4.9, 4.9), (15.0, CHECK_LIMIT_S)])
def test_a_check_is_over_before_the_next_however_often_they_come(health_s: float, limit_s: float) -> None:
    found = health_settings(settings(health_s, replicas=[{"url": "http://b"}]))
    assert found is not None
    assert (found.interval_s, found.limit_s) == (health_s, limit_s)


@pytest.mark.parametrize(("health_s", "replicas"), [(15.0, []), (0.0, [{"url": "http://b"}])])
def test_targets_are_watched_only_where_one_can_stand_in_for_another(
    health_s: float, replicas: list[dict[str, str]]
) -> None:
    assert health_settings(settings(health_s, replicas=replicas)) is None
