"""A guarded gateway, and what tests ask of it."""

from __future__ import annotations

import pytest

from tests.support.balancing import balanced
from tests.unit.balance.clock import ManualClock
from tests.unit.balance.gateways import SteeredGateway, text, tool
from tool_router.balance.balanced import BalancedGateway
from tool_router.balance.breaker import BreakerSettings
from tool_router.balance.retry import RetrySettings
from tool_router.catalog.model import Tool
from tool_router.errors import (
    BreakerOpen,
    GatewayError,
)
from tool_router.gateway.protocol import no_progress

A, B = tool("a"), tool("b")
OTHER = tool("c", server="git")
ONCE = RetrySettings(attempts=1)


def guarded(
    inner: SteeredGateway, clock: ManualClock, settings: BreakerSettings | None = None
) -> BalancedGateway:
    return balanced(inner, settings, retry=ONCE, clock=clock)


async def fails(gateway: BalancedGateway, asked: Tool, error: type[GatewayError], times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(error):
            await gateway.call(asked, {}, no_progress)


async def answers(gateway: BalancedGateway, asked: Tool) -> None:
    assert await gateway.call(asked, {}, no_progress) == text(asked.id)


async def call(gateway: BalancedGateway, asked: Tool) -> None:
    await gateway.call(asked, {}, no_progress)


async def refusal(gateway: BalancedGateway, asked: Tool) -> BreakerOpen:
    with pytest.raises(BreakerOpen) as caught:
        await gateway.call(asked, {}, no_progress)
    return caught.value
