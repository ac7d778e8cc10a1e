"""What a call wishes of its target, from the settings and from the caller's context."""

from __future__ import annotations

import pytest

from tests.unit.balance.gateways import tool
from tool_router.balance.requirements import Requirements
from tool_router.balance.wishes import Wishes, stated
from tool_router.config_balance import BalanceSettings, WishSettings

READ = tool("read", "files")
SETTINGS = BalanceSettings(
    region="eu",
    tools={
        "files::read": WishSettings(max_latency_ms=200, labels=frozenset({"ssd"})),
        "files::*": WishSettings(urgency=0.5, region="us"),
    },
)


def test_the_settings_of_a_tool_count_before_those_of_its_server() -> None:
    wishes = Wishes(SETTINGS)
    request = wishes.of(READ, "file", "")
    assert (request.category, request.region, request.labels) == ("file", "eu", frozenset({"ssd"}))
    assert request.requirements == Requirements(max_latency_ms=200)
    other = wishes.of(tool("write", "files"), "", "")
    assert (other.region, other.requirements.urgency) == ("us", 0.5)
    assert wishes.of(tool("x", "time"), "", "").requirements == Requirements()


def test_the_context_counts_before_the_settings() -> None:
    context = (
        'Opened file: a.txt. {"requirements": {"max_latency_ms": 50, "preferred": ["one"], "urgency": 1}}'
    )
    requirements = Wishes(SETTINGS).of(READ, "", context).requirements
    assert requirements == Requirements(max_latency_ms=50, preferred=frozenset({"one"}), urgency=1.0)


@pytest.mark.parametrize(
    "context",
    [
        "requirements: many",
        '{"requirements": 5}',
        '{"requirements": ',
        '{"requirements": {"max_latency_ms": -1, "min_quality": 7, "urgency": true, "preferred": 3}}',
        '{"requirements": {"max_latency_ms": "fast", "min_reliability": null}}',
        '{"requirements": {"max_latency_ms": NaN}}',
        "{" * 100_000 + "requirements",
        "[" * 100_000 + "requirements",
    ],
)
def test_what_can_not_be_understood_is_left_out(context: str) -> None:
    assert Wishes(BalanceSettings()).of(READ, "", context).requirements == Requirements()


def test_the_first_object_that_states_requirements_counts() -> None:
    assert stated('{"a": 1} then {"requirements": {"urgency": 0.1}} {"requirements": {}}') == {"urgency": 0.1}
