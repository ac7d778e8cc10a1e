"""When an idle service goes to sleep: pure, times in seconds on one monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass

from service_manager.model import Priority, ServiceSpec, Tier
from service_manager.policy.rules import Level, ResourceRules


@dataclass(frozen=True, slots=True)
class Usage:
    """What the policy looks at.

    Attributes:
        held: requests and open subscriptions that hold the service.
        awake_since: when it last reached RUNNING, by a start or by a wake.
        idle_since: when it was last held, or `awake_since` where it never was.
    """

    held: int
    awake_since: float
    idle_since: float


def stays_warm(spec: ServiceSpec) -> bool:
    """Whether a service never sleeps: one that names the tier `warm`, and a critical one that names none."""
    if spec.sleep is None:
        return spec.priority is Priority.CRITICAL
    return spec.sleep is Tier.WARM


def sleep_at(
    spec: ServiceSpec,
    usage: Usage,
    level: Level = Level.NORMAL,
    rules: ResourceRules | None = None,
) -> float | None:
    """When an idle service is to go to sleep; None while it is held, and for one that stays warm.

    It has been idle for its idle_timeout, times the factor of its priority, times the factor of the level of
    pressure, and awake for its min_sleep_time, whatever the pressure: what sleeps and wakes all the time
    takes more from a machine than it gives back.

    Args:
        spec: the service.
        usage: how it is used.
        level: how hard-pressed the machine is.
        rules: the factors; None for the defaults.
    """
    if usage.held or stays_warm(spec):
        return None
    known = rules or ResourceRules()
    factor = known.priorities[spec.priority].idle_factor * known.pressure.idle_factor(level)
    return max(usage.idle_since + spec.idle_timeout_s * factor, usage.awake_since + spec.min_sleep_time_s)
