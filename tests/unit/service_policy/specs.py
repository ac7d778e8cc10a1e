"""Services to try a policy on."""

from __future__ import annotations

from typing import Any

from service_manager.model import CommandSource, Priority, ServiceSpec, State
from service_manager.policy.idle import Usage
from service_manager.policy.order import Candidate


def spec(name: str = "s", priority: Priority = Priority.NORMAL, **fields: Any) -> ServiceSpec:
    defaults: dict[str, Any] = {
        "source": CommandSource(("x",)),
        "idle_timeout_s": 100.0,
        "min_sleep_time_s": 30.0,
    }
    return ServiceSpec(name, priority=priority, **(defaults | fields))


def candidate(
    name: str,
    priority: Priority = Priority.NORMAL,
    state: State = State.RUNNING,
    *,
    held: int = 0,
    awake_since: float = 0.0,
    idle_since: float = 0.0,
    **fields: Any,
) -> Candidate:
    return Candidate(spec(name, priority, **fields), state, Usage(held, awake_since, idle_since))
