"""What is known of services as plain JSON, for the control API and for `--json`. Pure.

Names are those of the dataclasses: seconds end in ``_s``, milliseconds in ``_ms``, sizes are bytes.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from service_manager.resources import Limits, MemoryUse
from service_manager.status import Check, ServiceStatus, SleepStatus, WakeRecord

Json = dict[str, Any]


def check_view(check: Check) -> Json:
    """Whether a service is well."""
    return {
        "name": check.name,
        "ok": check.ok,
        "state": check.state,
        "detail": check.detail,
        "ms": None if check.ms is None else round(check.ms, 1),
    }


def status_view(status: ServiceStatus) -> Json:
    """A service as it is now; a limit that is not set is null."""
    return {
        "name": status.name,
        "state": status.state.value,
        "priority": status.priority.value,
        "unavailable_reason": status.unavailable_reason,
        "failure": status.failure,
        "pid": status.pid,
        "leases": status.leases,
        "starts": status.starts,
        "crashes": status.crashes,
        "idle_s": _rounded(status.idle_s),
        "last_start_ms": _rounded(status.last_start_ms),
        "sleeping": sleep_view(status.sleeping),
        "limits": limits_view(status.limits),
        "enforced": dict(status.enforced),
    }


def sleep_view(sleeping: SleepStatus) -> Json:
    """How a service sleeps, and what that was measured to give and cost."""
    return {
        "tier": sleeping.tier.value,
        "reason": sleeping.reason,
        "awake": None if sleeping.awake is None else memory_view(sleeping.awake),
        "asleep": None if sleeping.asleep is None else memory_view(sleeping.asleep),
        "last_wake": None if sleeping.last_wake is None else wake_view(sleeping.last_wake),
        "wake_p50_ms": _rounded(sleeping.wake_p50_ms),
        "wake_p95_ms": _rounded(sleeping.wake_p95_ms),
        "wakes": sleeping.wakes,
        "missed": sleeping.missed,
        "missing_capability": sleeping.missing_capability,
    }


def wake_view(wake: WakeRecord) -> Json:
    """What one wake took, and the whole of it."""
    return {
        "tier": wake.tier.value,
        "resume_ms": _rounded(wake.resume_ms),
        "replay_ms": _rounded(wake.replay_ms),
        "first_call_ms": _rounded(wake.first_call_ms),
        "total_ms": _rounded(wake.total_ms),
        "target_ms": _rounded(wake.target_ms),
        "target_met": wake.target_met,
    }


def memory_view(memory: MemoryUse) -> Json:
    """What it takes of the memory, and how much of that others can't have."""
    return {**asdict(memory), "held": memory.held}


def limits_view(limits: Limits) -> Json:
    """What a service may use."""
    return asdict(limits)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
