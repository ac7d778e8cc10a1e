"""What counts as a change when services.yml and resource-limits.yml are read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from service_manager.lifecycle.changes import Changes, changes_between
from service_manager.model import CommandSource, Priority, ServiceSpec
from service_manager.policy.rules import PriorityRules, ResourceRules
from service_manager.resources import Limits

RULES = ResourceRules()
NORMAL = ServiceSpec("normal", CommandSource(("a",)))
OWN = ServiceSpec("own", CommandSource(("b",)), limits=Limits(memory=1), wake_target_s=0.1)
HIGH = ServiceSpec("high", CommandSource(("c",)), priority=Priority.HIGH)
SPECS = {spec.name: spec for spec in (NORMAL, OWN, HIGH)}


def normal(change: Callable[[PriorityRules], PriorityRules]) -> ResourceRules:
    priorities = {**RULES.priorities, Priority.NORMAL: change(RULES.priorities[Priority.NORMAL])}
    return replace(RULES, priorities=priorities)


@pytest.mark.parametrize(
    ("rules", "changed"),
    [
        (normal(lambda rules: replace(rules, limits=replace(rules.limits, memory=5))), ("normal",)),
        (normal(lambda rules: replace(rules, limits=replace(rules.limits, cpu=0.5))), ("normal", "own")),
        (normal(lambda rules: replace(rules, wake_target_s=0.3)), ("normal",)),
        (normal(lambda rules: replace(rules, idle_factor=3.0)), ()),
        (replace(RULES, system=replace(RULES.system, max_concurrent=1)), ()),
    ],
    ids=["memory", "a limit that one's own do not name", "wake target", "idle factor", "of all together"],
)
def test_services_change_whose_own_limits_or_wake_targets_do(
    rules: ResourceRules, changed: tuple[str, ...]
) -> None:
    assert changes_between(SPECS, SPECS, RULES, rules) == Changes(changed=changed, limits=True)


def test_what_is_new_gone_and_another_is_told_apart() -> None:
    wanted = {"normal": replace(NORMAL, description="Another."), "own": OWN, "new": replace(HIGH, name="new")}
    changes = changes_between(SPECS, wanted, RULES, RULES)
    assert changes == Changes(("new",), ("normal",), ("high",), limits=False)


def test_the_same_again_is_no_change() -> None:
    assert changes_between(SPECS, dict(SPECS), RULES, ResourceRules()) == Changes()
