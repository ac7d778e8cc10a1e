"""What all services of one manager share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio.abc

from service_manager.drivers.protocol import Driver
from service_manager.lifecycle.known import Known
from service_manager.model import CommandResolver, ServiceSpec, Transition
from service_manager.policy.rules import Level, ResourceRules


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all services of one manager share.

    Attributes:
        resolver: gives their commands, installing them first where needed.
        driver: runs the commands.
        tasks: where they live; cancelling it stops them.
        clock: monotonic seconds.
        observe: told of every change of a state, at once; it must not wait.
        learnt: told of what became known of a service, at once.
        rules: what services may use, and when they make room, as it is now.
        level: how hard-pressed the machine is now.
    """

    resolver: CommandResolver
    driver: Driver
    tasks: anyio.abc.TaskGroup
    clock: Callable[[], float]
    observe: Callable[[Transition], None]
    learnt: Callable[[ServiceSpec, Known], None]
    rules: Callable[[], ResourceRules]
    level: Callable[[], Level]
