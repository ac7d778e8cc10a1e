"""What services may use and when they make room, as values: what resource-limits.yml says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from service_manager.model import DeploymentSource, Priority, ServiceSpec
from service_manager.resources import Limits

GB = 1024**3


class Level(IntEnum):
    """How hard-pressed the machine is."""

    NORMAL = 0
    ELEVATED = 1
    HIGH = 2
    EMERGENCY = 3

    @property
    def word(self) -> str:
        """As it is written in files and messages."""
        return self.name.lower()


class Metric(StrEnum):
    """What pressure is read from; each as a share of 1.

    CPU is the processor time in use, MEMORY what can't be had without swapping. The others are the kernel's
    pressure stall information over 10 seconds (Linux, accounting/psi): the share of the time in which SOME
    tasks, or all of them at once (FULL), waited for a processor, for memory, for a device.
    """

    CPU = "cpu"
    MEMORY = "memory"
    CPU_SOME = "cpu_some"
    MEMORY_SOME = "memory_some"
    MEMORY_FULL = "memory_full"
    IO_SOME = "io_some"
    IO_FULL = "io_full"


class Action(StrEnum):
    """What is done in an emergency.

    SLEEP_IDLE puts idle services to sleep. STOP_STATELESS stops idle and sleeping ones that lose nothing by
    it, STOP_IDLE the others too. The REFUSE actions start no more services of a priority, nor of those that
    are less protected.
    """

    SLEEP_IDLE = "sleep_idle"
    STOP_STATELESS = "stop_stateless"
    STOP_IDLE = "stop_idle"
    REFUSE_LOW = "refuse_low"
    REFUSE_NORMAL = "refuse_normal"
    REFUSE_HIGH = "refuse_high"

    @property
    def refused(self) -> Priority | None:
        """The most protected priority that is refused; None for an action that refuses nothing."""
        name = self.value.removeprefix("refuse_")
        return Priority(name) if name != self.value else None


@dataclass(frozen=True, slots=True)
class Amount:
    """A size or a number, or a share of what the machine has."""

    value: float
    relative: bool = False

    def of(self, whole: float) -> float:
        """How much it is on a machine that has so much."""
        return self.value * whole if self.relative else self.value


@dataclass(frozen=True, slots=True)
class SystemRules:
    """What all services together may use; None is no limit.

    Attributes:
        memory: bytes, or a share of the machine's memory.
        cpu: processors, or a share of all of them.
        processes: processes and threads.
        max_concurrent: how many services may be awake at once.
        start_wait_s: how long a start or a wake waits for another service to make room.
    """

    memory: Amount | None = Amount(0.8, relative=True)
    cpu: Amount | None = Amount(0.9, relative=True)
    processes: int | None = 4096
    max_concurrent: int | None = 20
    start_wait_s: float = 15.0

    def limits(self, memory: int, processors: float) -> Limits:
        """The limits on a machine with so many bytes of memory and so many processors."""
        return Limits(
            memory=None if self.memory is None else int(self.memory.of(memory)),
            cpu=None if self.cpu is None else self.cpu.of(processors),
            processes=self.processes,
        )


@dataclass(frozen=True, slots=True)
class PriorityRules:
    """What is the same for all services of one priority.

    Attributes:
        wake_target_s: how long a wake may take.
        idle_factor: what their idle_timeout is multiplied by.
        limits: what each may use, where its own entry in services.yml says nothing else.
    """

    wake_target_s: float
    idle_factor: float
    limits: Limits


def _priorities() -> dict[Priority, PriorityRules]:
    def limits(memory: float, cpu: float | None, processes: int) -> Limits:
        return Limits(memory=int(memory * GB), cpu=cpu, processes=processes, open_files=4096)

    return {
        Priority.CRITICAL: PriorityRules(0.05, 4.0, limits(2, None, 512)),
        Priority.HIGH: PriorityRules(0.1, 2.0, limits(2, None, 512)),
        Priority.NORMAL: PriorityRules(0.2, 1.0, limits(1, 2.0, 256)),
        Priority.LOW: PriorityRules(0.5, 0.5, limits(0.5, 1.0, 128)),
    }


@dataclass(frozen=True, slots=True)
class LevelRules:
    """One level of pressure.

    Attributes:
        at: the reading of each metric from which on it is this level; metrics that are missing don't count.
        idle_factor: what the idle time of every service is multiplied by while it lasts.
    """

    at: Mapping[Metric, float]
    idle_factor: float


def _levels() -> dict[Level, LevelRules]:
    # Only what sleeping gives back, which is memory, leads to an emergency: that takes something from people.
    # systemd-oomd kills at 60 % memory_full unless told otherwise; the emergency is to come before that.
    return {
        Level.ELEVATED: LevelRules(
            {Metric.CPU: 0.9, Metric.MEMORY: 0.8, Metric.MEMORY_SOME: 0.1, Metric.IO_FULL: 0.3}, 0.5
        ),
        Level.HIGH: LevelRules(
            {Metric.CPU: 0.98, Metric.MEMORY: 0.9, Metric.MEMORY_SOME: 0.25, Metric.MEMORY_FULL: 0.1}, 0.1
        ),
        Level.EMERGENCY: LevelRules({Metric.MEMORY: 0.95, Metric.MEMORY_FULL: 0.3}, 0.0),
    }


@dataclass(frozen=True, slots=True)
class PressureRules:
    """When the machine counts as hard-pressed. Times in seconds.

    Attributes:
        interval_s: between two readings.
        rise_after_s: how long a threshold has to be passed until its level holds.
        fall_after_s: how long readings have to be lower until the level falls.
        margin: by what share of a threshold they have to be lower.
        levels: the levels above NORMAL.
    """

    interval_s: float = 5.0
    rise_after_s: float = 10.0
    fall_after_s: float = 30.0
    margin: float = 0.1
    levels: Mapping[Level, LevelRules] = field(default_factory=_levels)

    def idle_factor(self, level: Level) -> float:
        """What idle times are multiplied by at a level."""
        rules = self.levels.get(level)
        return 1.0 if rules is None else rules.idle_factor


@dataclass(frozen=True, slots=True)
class EmergencyRules:
    """What is done in an emergency, and to whom last.

    Attributes:
        actions: one more of them is taken at each reading that still finds an emergency.
        protection: every priority, the best protected first; where some have to sleep, the last do.
    """

    actions: tuple[Action, ...] = (Action.SLEEP_IDLE, Action.STOP_STATELESS, Action.REFUSE_LOW)
    protection: tuple[Priority, ...] = (Priority.CRITICAL, Priority.HIGH, Priority.NORMAL, Priority.LOW)


@dataclass(frozen=True, slots=True)
class PredictiveRules:
    """Waking services ahead of the time of day at which they are usually used.

    Attributes:
        services: at most so many at a time.
        ahead_s: how long before that time.
        observations: on so many days it was used at that time, or nothing is expected.
    """

    enabled: bool = True
    services: int = 2
    ahead_s: float = 120.0
    observations: int = 3


@dataclass(frozen=True, slots=True)
class MonitorRules:
    """What is measured of services, and for how long it is kept.

    Attributes:
        interval_s: between two measurements.
        history_s: how long they are kept.
        anomaly_factor: so many standard deviations above its mean a reading is not usual.
    """

    interval_s: float = 30.0
    history_s: float = 7 * 86400.0
    anomaly_factor: float = 4.0


@dataclass(frozen=True, slots=True)
class ResourceRules:
    """All of resource-limits.yml; its defaults are those of the file that is shipped."""

    system: SystemRules = field(default_factory=SystemRules)
    priorities: Mapping[Priority, PriorityRules] = field(default_factory=_priorities)
    pressure: PressureRules = field(default_factory=PressureRules)
    emergency: EmergencyRules = field(default_factory=EmergencyRules)
    predictive_wake: PredictiveRules = field(default_factory=PredictiveRules)
    monitor: MonitorRules = field(default_factory=MonitorRules)

    def limits(self, spec: ServiceSpec) -> Limits:
        """What a service may use: its own limits, over those of its priority.

        A deployment gets only its own: those in its manifest are somebody's choice, which a default does not
        overrule, and what it requests may be more than the default.
        """
        if isinstance(spec.source, DeploymentSource):
            return spec.limits
        return spec.limits.over(self.priorities[spec.priority].limits)

    def wake_target_s(self, spec: ServiceSpec) -> float:
        """How long a wake of a service may take: its own target, or that of its priority."""
        own = spec.wake_target_s
        return self.priorities[spec.priority].wake_target_s if own is None else own

    def vulnerability(self, spec: ServiceSpec) -> int:
        """The place of a service in the order of protection; the largest sleeps first."""
        return self.emergency.protection.index(spec.priority)
