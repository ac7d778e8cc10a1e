"""The sections of resource-limits.yml as they are written: their keys, and what each may hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from service_manager.config.entry import Flag, Limit, parse_duration, parse_size
from service_manager.config.yamlmodel import misfit
from service_manager.model import Priority
from service_manager.policy.rules import (
    Action,
    Amount,
    EmergencyRules,
    Level,
    LevelRules,
    Metric,
    MonitorRules,
    PredictiveRules,
    PressureRules,
    PriorityRules,
    ResourceRules,
    SystemRules,
)
from service_manager.resources import Limits

Rules = TypeVar("Rules", SystemRules, EmergencyRules, PredictiveRules, MonitorRules, Limits)

LEAST_MEMORY = 1024**2
"""A limit of fewer bytes than this lacks its unit: no process starts in it."""

RISING = (Level.ELEVATED, Level.HIGH, Level.EMERGENCY)
"""The levels that have thresholds."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def _share(value: object) -> float:
    example = 'Write a percentage such as "80%".'
    found = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        shown = f"`{value}` is" if isinstance(value, str | int | float) else "this is"
        raise misfit(f"{shown} not a percentage", example)
    share = float(found[1]) / 100
    if not 0 < share <= 1:
        raise misfit(
            f"a share can't be {found[1]}%", 'Write a percentage above 0 and up to 100, such as "80%".'
        )
    return share


def _number(value: object) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    raise misfit("a number is wanted here", "Write a number such as 2 or 0.5.")


def _positive(value: object) -> float:
    number = _number(value)
    if number == 0:
        raise misfit("this can't be zero", "Write a number such as 2 or 0.5.")
    return number


def _count(value: object) -> int:
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise misfit("a whole number from 1 on is wanted here", "Write a number such as 20.")
    return number


def _size(value: object) -> int:
    size = parse_size(value)
    if size < LEAST_MEMORY:
        raise misfit(f"{size} bytes are too few for any service", 'Write its unit, such as "512MB".')
    return size


def _memory(value: object) -> Amount:
    if isinstance(value, str) and "%" in value:
        return Amount(_share(value), relative=True)
    return Amount(float(_size(value)))


def _processors(value: object) -> Amount:
    if isinstance(value, str) and "%" in value:
        return Amount(_share(value), relative=True)
    return Amount(_positive(value))


def _or_none(parse: Callable[[object], object]) -> BeforeValidator:
    """A value, or the word `none`, which is no limit."""

    def check(value: object) -> object:
        if value is None:
            raise misfit("nothing is given", "Write a value, `none` for no limit, or remove the key.")
        if isinstance(value, str) and value.strip().lower() == "none":
            return None
        return parse(value)

    return BeforeValidator(check)


def _once_each(values: list[Any]) -> list[Any]:
    for position, value in enumerate(values):
        if value in values[:position]:
            raise misfit(f"`{value}` is given twice", "Keep one of them.")
    return values


def _all_priorities(values: list[str]) -> list[str]:
    missing = [priority.value for priority in Priority if priority.value not in values]
    if missing:
        raise misfit(f"{', '.join(missing)} is missing", "Name every priority, the best protected first.")
    return values


Share = Annotated[float | None, _or_none(_share)]
Count = Annotated[int, BeforeValidator(_count)]
Factor = Annotated[float, BeforeValidator(_number)]
Names = Literal["critical", "high", "normal", "low"]
Actions = Literal["sleep_idle", "stop_stateless", "stop_idle", "refuse_low", "refuse_normal", "refuse_high"]


class _Section(BaseModel):
    """Keys that are left out are not among `given`, and keep their defaults."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    def given(self, *durations: str) -> dict[str, Any]:
        """The values that were written, by the names of the dataclasses: ``history`` as ``history_s``."""
        return {
            f"{name}_s" if name in durations else name: getattr(self, name) for name in self.model_fields_set
        }

    def over(self, base: Rules, *durations: str) -> Rules:
        """The base with the values that were written."""
        return replace(base, **self.given(*durations))


class SystemSection(_Section):
    """All services together."""

    memory: Annotated[Amount | None, _or_none(_memory)] = Field(
        default=None, description="A share, or a size."
    )
    cpu: Annotated[Amount | None, _or_none(_processors)] = Field(
        default=None, description="A share, or processors."
    )
    processes: Annotated[int | None, _or_none(_count)] = Field(
        default=None, description="Processes and threads."
    )
    max_concurrent: Annotated[int | None, _or_none(_count)] = Field(
        default=None, description="So many services may be awake at once."
    )
    start_wait: Annotated[float, BeforeValidator(parse_duration)] = Field(
        default=0.0, description="How long a start waits for room."
    )


class LimitsSection(_Section):
    """What one service may use."""

    memory: Annotated[int | None, _or_none(_size)] = Field(
        default=None, description="Physical memory of all its processes."
    )
    cpu: Annotated[float | None, _or_none(_positive)] = Field(default=None, description="Processors.")
    processes: Annotated[int | None, _or_none(_count)] = Field(
        default=None, description="Processes and threads."
    )
    open_files: Annotated[int | None, _or_none(_count)] = Field(
        default=None, description="Open files of one process."
    )
    file_size: Annotated[int | None, _or_none(parse_size)] = Field(
        default=None, description="The largest file it may write."
    )


class PrioritySection(_Section):
    """The services of one priority."""

    wake_target: Limit = Field(default=1.0, description="How long a wake may take.")
    idle_factor: Annotated[float, BeforeValidator(_positive)] = Field(
        default=1.0, description="What their idle_timeout is multiplied by."
    )
    limits: LimitsSection = Field(default=LimitsSection(), description="What each may use.")

    def rules(self, base: PriorityRules) -> PriorityRules:
        """The rules of a priority, over its defaults."""
        given = self.given("wake_target") | {"limits": self.limits.over(base.limits)}
        return replace(base, **given)


class PrioritiesSection(_Section):
    """The priorities."""

    critical: PrioritySection = Field(default=PrioritySection(), description="Those that stay awake.")
    high: PrioritySection = Field(default=PrioritySection(), description="Those that sleep last.")
    normal: PrioritySection = Field(default=PrioritySection(), description="Those that name no priority.")
    low: PrioritySection = Field(default=PrioritySection(), description="Those that sleep first.")


class LevelSection(_Section):
    """From which readings on a level of pressure is reached."""

    cpu: Share = Field(default=None, description="Processor time in use.")
    memory: Share = Field(default=None, description="Memory that can't be had without swapping.")
    cpu_some: Share = Field(default=None, description="Time in which something waited for a processor.")
    memory_some: Share = Field(default=None, description="Time in which something waited for memory.")
    memory_full: Share = Field(default=None, description="Time in which everything waited for memory.")
    io_some: Share = Field(default=None, description="Time in which something waited for a disk.")
    io_full: Share = Field(default=None, description="Time in which everything waited for a disk.")
    idle_factor: Factor = Field(default=1.0, description="What idle times are multiplied by meanwhile.")

    def rules(self, base: LevelRules) -> LevelRules:
        """The rules of a level, over its defaults."""
        given = self.given()
        factor = given.pop("idle_factor", base.idle_factor)
        thresholds = {**base.at, **{Metric(name): value for name, value in given.items()}}
        ordered = {metric: thresholds[metric] for metric in Metric if thresholds.get(metric) is not None}
        return LevelRules(ordered, factor)


class PressureSection(_Section):
    """When the machine counts as hard-pressed."""

    interval: Limit = Field(default=1.0, description="Between two readings.")
    rise_after: Annotated[float, BeforeValidator(parse_duration)] = Field(
        default=0.0, description="How long a threshold is passed until its level holds."
    )
    fall_after: Annotated[float, BeforeValidator(parse_duration)] = Field(
        default=0.0, description="How long readings are lower until a level falls."
    )
    margin: Annotated[float, BeforeValidator(_share)] = Field(default=0.0, description="How much lower.")
    elevated: LevelSection = Field(default=LevelSection(), description="The first level.")
    high: LevelSection = Field(default=LevelSection(), description="The second level.")
    emergency: LevelSection = Field(default=LevelSection(), description="The last level.")

    def rules(self, base: PressureRules) -> PressureRules:
        """The rules of pressure, over their defaults."""
        given = self.given("interval", "rise_after", "fall_after")
        levels = {level: getattr(self, level.word).rules(base.levels[level]) for level in RISING}
        own = {name: value for name, value in given.items() if not isinstance(value, LevelSection)}
        return replace(base, **own, levels=levels)


class EmergencySection(_Section):
    """What an emergency does, and to whom last."""

    actions: Annotated[list[Actions], AfterValidator(_once_each)] = Field(
        default=[], description="One more of them at each reading."
    )
    protection: Annotated[list[Names], AfterValidator(_once_each), AfterValidator(_all_priorities)] = Field(
        default=[], description="Every priority, the best protected first."
    )

    def rules(self, base: EmergencyRules) -> EmergencyRules:
        """The rules of an emergency, over their defaults."""
        actions = tuple(map(Action, self.actions)) if "actions" in self.model_fields_set else base.actions
        protection = tuple(map(Priority, self.protection)) or base.protection
        return EmergencyRules(actions, protection)


class PredictiveSection(_Section):
    """Waking services ahead of their usual time."""

    enabled: Flag = Field(default=True, description="Whether this is done at all.")
    services: Count = Field(default=1, description="At most so many at a time.")
    ahead: Limit = Field(default=1.0, description="How long before.")
    observations: Count = Field(default=1, description="On so many days it was used at that time.")


class MonitorSection(_Section):
    """What is measured."""

    interval: Limit = Field(default=1.0, description="Between two measurements.")
    history: Limit = Field(default=1.0, description="How long they are kept.")
    anomaly_factor: Annotated[float, BeforeValidator(_positive)] = Field(
        default=1.0, description="So many standard deviations above the usual value is unusual."
    )


class LimitsFile(_Section):
    """The whole of resource-limits.yml."""

    system: SystemSection = Field(default=SystemSection(), description="All services together.")
    priorities: PrioritiesSection = Field(
        default=PrioritiesSection(), description="Each service, by its priority."
    )
    pressure: PressureSection = Field(
        default=PressureSection(), description="When the machine is hard-pressed."
    )
    emergency: EmergencySection = Field(default=EmergencySection(), description="What an emergency does.")
    predictive_wake: PredictiveSection = Field(
        default=PredictiveSection(), description="Waking services ahead."
    )
    monitor: MonitorSection = Field(default=MonitorSection(), description="What is measured.")

    def rules(self) -> ResourceRules:
        """All of it, over the defaults."""
        base = ResourceRules()
        return ResourceRules(
            system=self.system.over(base.system, "start_wait"),
            priorities={
                priority: getattr(self.priorities, priority.value).rules(base.priorities[priority])
                for priority in Priority
            },
            pressure=self.pressure.rules(base.pressure),
            emergency=self.emergency.rules(base.emergency),
            predictive_wake=self.predictive_wake.over(base.predictive_wake, "ahead"),
            monitor=self.monitor.over(base.monitor, "interval", "history"),
        )
