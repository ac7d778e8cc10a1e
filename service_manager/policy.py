"""Who is stopped, and when: pure, times in seconds on one monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass

from service_manager.model import Priority, ServiceSpec

PATIENCE = {Priority.HIGH: 2.0, Priority.NORMAL: 1.0, Priority.LOW: 0.5}
"""Factor on idle_timeout by priority: low ones stop first; critical ones, which are missing here, never."""

QUICK_FAILURES = 3
"""So many failed starts in a row make a service FAILED; the next call does not try again at once."""

BACKOFF_S = 15.0
BACKOFF_LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What the policy looks at.

    Attributes:
        leases: requests that hold the service.
        started_at: when it last reached RUNNING.
        idle_since: when its last lease ended, or `started_at` without any.
    """

    leases: int
    started_at: float
    idle_since: float


def stop_at(spec: ServiceSpec, usage: Usage) -> float | None:
    """When an idle service is to be stopped; None while it is leased, or for ever (critical).

    Never before it has been idle for its idle_timeout and up for its min_sleep_time.
    """
    if usage.leases or spec.priority is Priority.CRITICAL:
        return None
    idle_until = usage.idle_since + spec.idle_timeout_s * PATIENCE[spec.priority]
    return max(idle_until, usage.started_at + spec.min_sleep_time_s)


def retry_at(failures: int, failed_at: float) -> float:
    """When a service that failed so many times in a row may be started again.

    The first failures are retried by the next call; from the `QUICK_FAILURES`th on, the wait doubles.
    """
    if failures < QUICK_FAILURES:
        return failed_at
    return failed_at + min(BACKOFF_LIMIT_S, BACKOFF_S * 2.0 ** (failures - QUICK_FAILURES))
