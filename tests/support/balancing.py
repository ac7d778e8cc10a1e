"""One gateway, or several, behind the balancer: breakers, deadline, retries."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio

from tool_router.balance.admission import Admission
from tool_router.balance.balanced import CALL_LIMIT_S, BalancedGateway, Limits
from tool_router.balance.breaker import BreakerSettings, Clock
from tool_router.balance.pool import Pool
from tool_router.balance.retry import RetrySettings
from tool_router.balance.selecting import Selecting
from tool_router.balance.service_windows import ServiceWindows
from tool_router.balance.target_state import TargetSpec
from tool_router.balance.targets import Targets
from tool_router.gateway.protocol import Gateway


def balanced(
    inner: Gateway | Sequence[Gateway],
    settings: BreakerSettings | None = None,
    *,
    limit_s: float = CALL_LIMIT_S,
    retry: RetrySettings | None = None,
    clock: Clock = anyio.current_time,
    draw: Callable[[], float] = random.random,
    strategy: str = "round_robin",
) -> BalancedGateway:
    """A balancer over these gateways; they are named by their keys."""
    gateways = [inner] if isinstance(inner, Gateway) else list(inner)
    pool = Pool[Gateway](Selecting(strategy, draw=draw), clock=clock)
    for gateway in gateways:
        pool.add(TargetSpec(gateway.key), gateway)
    settings = settings or BreakerSettings()
    settings = replace(settings, permit_ttl_s=max(settings.permit_ttl_s, limit_s * 1.1))
    admission = Admission(settings, clock)
    limits = Limits(limit_s, retry or RetrySettings())
    return BalancedGateway(
        gateways[0].key,
        pool,
        Targets(pool, admission),
        admission,
        ServiceWindows(clock),
        limits,
        clock=clock,
        draw=draw,
    )
