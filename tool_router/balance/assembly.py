"""The balancer that the settings describe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import structlog

from tool_router.balance.admission import Admission
from tool_router.balance.balanced import CALL_LIMIT_S, BalancedGateway, Limits
from tool_router.balance.breaker import BreakerSettings
from tool_router.balance.discovered import DiscoveredHeads, asked_name, weighed
from tool_router.balance.discovery import Address
from tool_router.balance.health import CHECK_LIMIT_S, HealthSettings
from tool_router.balance.pool import Pool
from tool_router.balance.ramp import RampSettings
from tool_router.balance.retry import RetrySettings
from tool_router.balance.selecting import Selecting
from tool_router.balance.service_windows import ServiceWindows
from tool_router.balance.strategies.settings import AdaptiveSettings, StrategySettings
from tool_router.balance.target_state import TargetSpec
from tool_router.balance.targets import Targets
from tool_router.config import Settings
from tool_router.config_balance import BalanceSettings, ReplicaSettings, TargetSettings
from tool_router.errors import ConfigError
from tool_router.gateway.protocol import Gateway

if TYPE_CHECKING:
    from tool_router.balance.redis_sharing import Sharing


def build_balanced(
    settings: Settings, first: Gateway, head_at: Callable[[Settings, str], Gateway]
) -> BalancedGateway:
    """A gateway that balances over every head the settings name.

    Args:
        settings: the heads, how one is chosen, when breakers open and what is repeated.
        first: the head that `gateway` names itself.
        head_at: makes a head at an address.

    Raises:
        ConfigError: the token file is wrong.
    """
    balance = settings.balance
    clock = anyio.current_time
    pool = Pool[Gateway](
        selecting(balance),
        clock=clock,
        queue_limit=balance.queue_limit,
        ramp=RampSettings(balance.ramp_floor, balance.ramp_s),
    )
    pool.add(first_spec(settings, first), first)
    for replica in settings.gateway.replicas:
        pool.add(replica_spec(balance, replica), head_at(settings, replica.url))
    breaker = settings.breaker
    limits = Limits(CALL_LIMIT_S, retry_settings(settings))
    admission = Admission(
        BreakerSettings(
            failure_threshold=breaker.failure_threshold,
            open_s=breaker.open_s,
            half_open_permits=breaker.half_open_permits,
            success_threshold=breaker.success_threshold,
            # A slow probe must not count as lost while its own deadline still runs.
            permit_ttl_s=CALL_LIMIT_S * 1.1,
        ),
        clock,
    )
    targets = Targets(pool, admission, health_settings(settings))
    return BalancedGateway(first.key, pool, targets, admission, ServiceWindows(clock), limits, clock=clock)


def discovered_heads(
    settings: Settings, gateway: BalancedGateway, head_at: Callable[[Settings, str, tuple[str, int]], Gateway]
) -> DiscoveredHeads | None:
    """The heads that DNS names; None where the settings name them all."""
    balance, url = settings.balance, settings.gateway.url
    if not (balance.discover and url):
        return None
    from tool_router.balance.dns_lookup import DnsLookup

    name, port, srv = asked_name(balance.discover, url)

    def make(address: Address) -> tuple[TargetSpec, Gateway]:
        head = head_at(settings, url, (address.host, address.port))
        spec = _spec(balance, settings.gateway.target, address.key, over_http=True)
        return replace(spec, name=address.key, weight=weighed(spec, address)), head

    return DiscoveredHeads(DnsLookup(name, port, srv=srv), gateway.pool, gateway.targets, make)


def build_sharing(settings: Settings, gateway: BalancedGateway) -> Sharing | None:
    """What tells other routers of the targets; None without a Redis, or without its client."""
    url = settings.balance.redis_url.get_secret_value()
    if not url:
        return None
    try:
        from tool_router.balance.redis_sharing import Sharing
    except ImportError:
        structlog.get_logger().warning(
            "redis_not_installed",
            next_step="Targets are not shared. Install it with: pip install 'mcp-tool-router[redis]'",
        )
        return None
    try:
        return Sharing(url, gateway.pool, gateway.admission, gateway.windows, source=gateway.key)
    except ValueError as error:
        raise ConfigError(f"balance.redis_url is no address of a Redis: {error}.", "Correct it.") from error


def selecting(balance: BalanceSettings) -> Selecting:
    """The strategy that the settings name, with its shadow."""
    return Selecting(balance.strategy, balance.shadow, strategy_settings(balance))


def strategy_settings(balance: BalanceSettings) -> StrategySettings:
    """What strategies go by."""
    return StrategySettings(
        explore=balance.explore,
        adaptive=AdaptiveSettings(learning_rate=balance.learning_rate, threshold=balance.threshold),
    )


def first_spec(settings: Settings, first: Gateway) -> TargetSpec:
    """The specification of the head that `gateway` names itself; one that runs here has no bound."""
    over_http = bool(settings.gateway.url)
    return _spec(settings.balance, settings.gateway.target, first.key, over_http=over_http)


def replica_spec(balance: BalanceSettings, replica: ReplicaSettings) -> TargetSpec:
    """The specification of another head."""
    return _spec(balance, replica, replica.url.rstrip("/"), over_http=True)


def retry_settings(settings: Settings) -> RetrySettings:
    """How failed calls are repeated."""
    retry = settings.retry
    return RetrySettings(
        attempts=retry.attempts, base_s=retry.base_s, budget_ratio=retry.budget, never=retry.never
    )


def health_settings(settings: Settings) -> HealthSettings | None:
    """How targets are watched; None where none can stand in for another, or it is turned off."""
    several = bool(settings.gateway.replicas or settings.balance.discover)
    interval_s = settings.balance.health_s
    if not (several and interval_s > 0):
        return None
    # One check is over before the next is due.
    return HealthSettings(interval_s=interval_s, limit_s=min(CHECK_LIMIT_S, interval_s))


def _spec(balance: BalanceSettings, target: TargetSettings, name: str, *, over_http: bool) -> TargetSpec:
    capacity = target.capacity
    if capacity is None:
        capacity = balance.connections if over_http else 0
    return TargetSpec(
        target.name or name,
        target.weight,
        target.region,
        frozenset(),
        target.labels,
        capacity,
        target.price,
        target.quality,
    )
