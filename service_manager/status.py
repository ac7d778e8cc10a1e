"""What is known of a service now, for people and for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service_manager.model import Priority, State, Tier
from service_manager.resources import Limits, MemoryUse


@dataclass(frozen=True, slots=True)
class WakeRecord:
    """What one wake took, from the request to its answer. Milliseconds.

    Attributes:
        resume_ms: until its processes could run again, or were started again.
        replay_ms: opening the session again and bringing back its state; 0 where it kept it.
        first_call_ms: from then to the answer of the request that woke it; None until there is one.
        target_met: whether it took no longer than its target, not counting what this request takes when the
            service is awake; None while that is unknown.
    """

    tier: Tier
    resume_ms: float
    replay_ms: float = 0.0
    first_call_ms: float | None = None
    target_ms: float | None = None
    target_met: bool | None = None

    @property
    def total_ms(self) -> float:
        """The whole of it, as far as it is known."""
        return self.resume_ms + self.replay_ms + (self.first_call_ms or 0.0)


@dataclass(frozen=True, slots=True)
class SleepStatus:
    """How a service sleeps, and what that was measured to give and cost.

    Attributes:
        tier: the tier it sleeps in.
        reason: why this one, one sentence.
        awake: its memory when all of it was there, the most of this life; None before its first sleep.
        asleep: its memory once asleep; None before that.
        last_wake: the last wake.
        wake_p50_ms, wake_p95_ms: over the last wakes of this tier; None before the first.
        wakes, missed: wakes of this tier, and how many missed their target.
        missing_capability: what a better tier lacks here, with the command that gives it; empty when nothing.
    """

    tier: Tier = Tier.WARM
    reason: str = ""
    awake: MemoryUse | None = None
    asleep: MemoryUse | None = None
    last_wake: WakeRecord | None = None
    wake_p50_ms: float | None = None
    wake_p95_ms: float | None = None
    wakes: int = 0
    missed: int = 0
    missing_capability: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a service is well: it answers, or it would be started or woken by a call.

    Attributes:
        detail: what was seen, one sentence.
        ms: how long its answer took; None when it was not asked.
    """

    name: str
    ok: bool
    state: State
    detail: str
    ms: float | None = None


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What `status` shows of one service. Times in seconds.

    Attributes:
        unavailable_reason: why it can't run here (a missing need); empty when it can.
        failure: why the last start or run failed; empty otherwise.
        idle_s: seconds since the last lease ended; None while leased or never used.
        last_start_ms: how long the last start took until its `initialize` answer; None before the first.
        sleeping: how it sleeps.
        limits: what it may use.
        enforced: for each limit that is set, by what it is enforced, e.g. ``{"memory": "cgroup"}``.
    """

    name: str
    state: State
    priority: Priority
    unavailable_reason: str = ""
    failure: str = ""
    pid: int | None = None
    leases: int = 0
    starts: int = 0
    crashes: int = 0
    idle_s: float | None = None
    last_start_ms: float | None = None
    sleeping: SleepStatus = field(default_factory=SleepStatus)
    limits: Limits = field(default_factory=Limits)
    enforced: Mapping[str, str] = field(default_factory=dict[str, str])
