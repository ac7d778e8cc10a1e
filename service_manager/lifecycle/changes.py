"""What becomes of services when services.yml and resource-limits.yml are read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service_manager.model import ServiceSpec
from service_manager.policy.rules import ResourceRules
from service_manager.resources import Limits


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of the services when the files were read again.

    Attributes:
        added, changed, removed: names of services; one whose own limits are others now has changed.
        limits: whether resource-limits.yml says something else.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    limits: bool = False


def changes_between(
    known: Mapping[str, ServiceSpec],
    wanted: Mapping[str, ServiceSpec],
    rules_before: ResourceRules,
    rules: ResourceRules,
) -> Changes:
    """How services that are wanted, by name, differ from those that are known."""
    return Changes(
        tuple(name for name in wanted if name not in known),
        tuple(
            name
            for name in wanted
            if name in known and _terms(wanted[name], rules) != _terms(known[name], rules_before)
        ),
        tuple(name for name in known if name not in wanted),
        rules != rules_before,
    )


def _terms(spec: ServiceSpec, rules: ResourceRules) -> tuple[ServiceSpec, Limits, float]:
    """What a service is run by from its start to its end; all else of the rules holds at once."""
    return spec, rules.limits(spec), rules.wake_target_s(spec)
