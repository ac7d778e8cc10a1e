"""resource-limits.yml is read strictly, and what it leaves out has its default."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from service_manager.config.limits import load_limits, parse_limits
from service_manager.config.limits_entry import LimitsFile
from service_manager.errors import ConfigError
from service_manager.model import CommandSource, DeploymentSource, Priority, ServiceSpec
from service_manager.paths import limits_file, shipped_config_dir
from service_manager.policy.rules import (
    Action,
    Amount,
    EmergencyRules,
    Level,
    Metric,
    MonitorRules,
    PredictiveRules,
    ResourceRules,
)
from service_manager.resources import Limits

SHIPPED = shipped_config_dir() / "resource-limits.yml"


def parse(text: str, **environ: str) -> ResourceRules:
    return parse_limits(text, Path("limits.yml"), environ)


def test_the_shipped_file_says_every_default_and_nothing_else() -> None:
    written = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))

    def missing(model: type[BaseModel], values: dict[str, Any]) -> list[str]:
        found = [name for name in model.model_fields if name not in values]
        for name, field in model.model_fields.items():
            inner: Any = field.annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found += missing(inner, values[name])
        return found

    assert load_limits(SHIPPED, {}) == ResourceRules()
    assert missing(LimitsFile, written) == []


def test_an_empty_file_is_all_defaults() -> None:
    assert parse("") == ResourceRules()


def test_the_wake_targets_are_those_of_the_design() -> None:
    targets = {name: rules.wake_target_s for name, rules in ResourceRules().priorities.items()}
    assert targets == {
        Priority.CRITICAL: 0.05,
        Priority.HIGH: 0.1,
        Priority.NORMAL: 0.2,
        Priority.LOW: 0.5,
    }


def test_only_what_is_written_changes() -> None:
    rules = parse(
        """
        system: {memory: 2GB, cpu: 1.5, max_concurrent: 3, start_wait: 1m}
        priorities:
          low: {wake_target: 1s, limits: {memory: 64MB, file_size: 1GB}}
        pressure:
          fall_after: 1m
          margin: 5%
          high: {memory: 85%, io_some: 50%}
        emergency:
          actions: [refuse_normal]
          protection: [critical, low, normal, high]
        predictive_wake: {enabled: false, services: 7, ahead: 5m, observations: 4}
        monitor: {interval: 10s, history: 1d, anomaly_factor: 6}
        """
    )
    default = ResourceRules()

    assert rules.system == replace(
        default.system, memory=Amount(2 * 1024**3), cpu=Amount(1.5), max_concurrent=3, start_wait_s=60.0
    )
    low = default.priorities[Priority.LOW]
    assert rules.priorities[Priority.LOW] == replace(
        low, wake_target_s=1.0, limits=replace(low.limits, memory=64 * 1024**2, file_size=1024**3)
    )
    assert rules.priorities[Priority.HIGH] == default.priorities[Priority.HIGH]
    high = default.pressure.levels[Level.HIGH]
    assert rules.pressure == replace(
        default.pressure,
        fall_after_s=60.0,
        margin=0.05,
        levels={
            **default.pressure.levels,
            Level.HIGH: replace(high, at={**high.at, Metric.MEMORY: 0.85, Metric.IO_SOME: 0.5}),
        },
    )
    order = (Priority.CRITICAL, Priority.LOW, Priority.NORMAL, Priority.HIGH)
    assert rules.emergency == EmergencyRules((Action.REFUSE_NORMAL,), order)
    assert rules.predictive_wake == PredictiveRules(enabled=False, services=7, ahead_s=300.0, observations=4)
    assert rules.monitor == MonitorRules(10.0, 86400.0, 6.0)


def test_none_lifts_a_limit_and_switches_off_a_threshold() -> None:
    rules = parse(
        """
        system: {memory: none, cpu: none, processes: none, max_concurrent: none}
        priorities: {normal: {limits: {memory: none, cpu: none, processes: none, open_files: none}}}
        pressure: {emergency: {memory: none}}
        emergency: {actions: []}
        """
    )

    assert rules.system.limits(1, 1.0) == Limits()
    assert rules.system.max_concurrent is None
    assert rules.priorities[Priority.NORMAL].limits == Limits()
    assert Metric.MEMORY not in rules.pressure.levels[Level.EMERGENCY].at
    assert rules.emergency.actions == ()


def test_variables_are_substituted_in_numbers_too() -> None:
    rules = parse("system: {max_concurrent: '${MOST:-5}', memory: '${MEMORY}'}", MEMORY="50%")

    assert rules.system.max_concurrent == 5
    assert rules.system.limits(1000, 4.0).memory == 500


def test_shares_are_of_the_machine_and_sizes_are_not() -> None:
    rules = parse("system: {memory: 25%, cpu: 50 %}").system

    assert rules.limits(8 * 1024**3, 8.0) == Limits(memory=2 * 1024**3, cpu=4.0, processes=4096)
    assert parse("system: {memory: 1GB}").system.limits(1, 1.0).memory == 1024**3


def test_a_services_own_limits_and_target_go_before_those_of_its_priority() -> None:
    rules = ResourceRules()
    plain = ServiceSpec("plain", CommandSource(("x",)))
    own = replace(plain, limits=Limits(memory=1, cpu=0.5), wake_target_s=3.0)

    assert rules.limits(plain) == rules.priorities[Priority.NORMAL].limits
    assert rules.limits(own) == replace(rules.limits(plain), memory=1, cpu=0.5)
    assert rules.limits(replace(own, source=DeploymentSource("tools", "weather"))) == own.limits
    assert (rules.wake_target_s(plain), rules.wake_target_s(own)) == (0.2, 3.0)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("system:\n  max_concurent: 3", 2, "Did you mean `max_concurrent`?"),
        ("sytem: {}", 1, "Did you mean `system`?"),
        ("system:\n  memory: 120%", 2, "a share can't be 120%"),
        ("system:\n  memory: 80", 2, "80 bytes are too few"),
        ("system:\n  memory:", 2, "nothing is given"),
        ("system:\n  cpu: fast", 2, "a number is wanted"),
        ("system:\n  cpu: 0", 2, "can't be zero"),
        ("system:\n  max_concurrent: 0", 2, "a whole number from 1 on"),
        ("system:\n  max_concurrent: 1.5", 2, "a whole number from 1 on"),
        ("system:\n  max_concurrent: yes", 2, "a whole number from 1 on"),
        ("system:\n  start_wait: soon", 2, "`soon` is not a duration"),
        ("priorities:\n  medium: {}", 2, "Known keys: critical, high, normal, low."),
        ("priorities:\n  low:\n    wake_target: 0", 3, "can't be zero"),
        ("priorities:\n  low:\n    idle_factor: 0", 3, "can't be zero"),
        ("priorities:\n  low:\n    limits:\n      memory: lots", 4, "`lots` is not a size"),
        ("pressure:\n  elevated:\n    cpu: 0.8", 3, 'Write a percentage such as "80%"'),
        ("pressure:\n  elevated:\n    memory: 92%", 3, "memory is 92% for elevated, 90% for high"),
        ("pressure:\n  emergency:\n    memory: 70%", 3, "memory is 90% for high, 70% for emergency"),
        ("pressure:\n  high:\n    idle_factor: 2", 3, "idle_factor is 0.5 for elevated and 2 for high"),
        ("pressure:\n  interval: 0s", 2, "can't be zero"),
        ("emergency:\n  actions: [sleep_idel]", 2, "Did you mean `sleep_idle`?"),
        ("emergency:\n  actions: [stop_idle, stop_idle]", 2, "`stop_idle` is given twice"),
        ("emergency:\n  protection: [critical, high, low]", 2, "normal is missing"),
        ("emergency:\n  protection: []", 2, "is missing"),
        ("predictive_wake:\n  enabled: maybe", 2, "true or false is wanted"),
        ("predictive_wake:\n  services: 0", 2, "a whole number from 1 on"),
        ("monitor:\n  anomaly_factor: 0", 2, "can't be zero"),
        ("monitor:", 1, "keys with values are wanted here"),
        ("- a", 1, "keys are wanted"),
        ("system:\n  memory: ${GONE}", 2, "GONE is not set"),
        ("system:\n  cpu: 1\n  cpu: 2", 3, "given twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_what_to_write(text: str, line: int, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)

    (problem,) = caught.value.problems
    assert problem.startswith(f"limits.yml:{line}: ")
    assert told in problem


def test_every_place_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("system: {memory: x}\nmonitor: {interval: x}\nother: 1")

    assert [problem.split(":")[1] for problem in caught.value.problems] == ["1", "2", "3"]


@pytest.mark.parametrize("number", [".inf", ".nan", "-1", "1e999"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    with pytest.raises(ConfigError):
        parse(f"priorities: {{low: {{idle_factor: {number}}}}}")
    assert math.isfinite(parse("").priorities[Priority.LOW].idle_factor)


def test_a_file_that_is_missing_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_limits(tmp_path / "none.yml", {})
    (tmp_path / "bytes.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="can't be read"):
        load_limits(tmp_path / "bytes.yml", {})


def test_limits_are_looked_for_where_they_are_named_then_at_home_then_where_they_are_shipped(
    tmp_path: Path,
) -> None:
    environ = {"HOME": str(tmp_path)}
    assert limits_file(None, environ) == SHIPPED
    own = tmp_path / ".config" / "tool-router" / "resource-limits.yml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert limits_file(None, environ) == own
    named = environ | {"TOOL_ROUTER_LIMITS": "~/named.yml"}
    assert limits_file(None, named) == tmp_path / "named.yml"
    assert limits_file(Path("given.yml"), named) == Path("given.yml")
