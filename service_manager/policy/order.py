"""Who sleeps first where somebody has to, and what is done in an emergency: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service_manager.model import DeploymentSource, Priority, ServiceSpec, State, UrlSource
from service_manager.policy.idle import Usage, stays_warm
from service_manager.policy.rules import Action, Level, ResourceRules

AWAKE = frozenset({State.STARTING, State.RUNNING, State.WAKING, State.STOPPING})
"""The states in which a service takes the machine's memory in full."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A service as the policy sees it."""

    spec: ServiceSpec
    state: State
    usage: Usage

    @property
    def here(self) -> bool:
        """Whether it runs on this machine, so that its sleep gives something back."""
        return not isinstance(self.spec.source, UrlSource | DeploymentSource)

    @property
    def counts(self) -> bool:
        """Whether it is one of those that max_concurrent counts."""
        return self.here and self.state in AWAKE

    @property
    def idle(self) -> bool:
        """Whether it runs and nobody holds it."""
        return self.state is State.RUNNING and not self.usage.held

    @property
    def rested_at(self) -> float:
        """Before this time it is too newly awake to sleep again."""
        return self.usage.awake_since + self.spec.min_sleep_time_s


def first_to_sleep(
    candidates: Iterable[Candidate], now: float, rules: ResourceRules
) -> tuple[Candidate, ...]:
    """The services that may be put to sleep now, the first one first.

    In the order of protection from its end, among equals the one that was unused for longest. Those that are
    held, stay warm, run elsewhere or have woken less than their min_sleep_time ago are left out.
    """
    able = [
        candidate
        for candidate in candidates
        if candidate.here and candidate.idle and not stays_warm(candidate.spec) and candidate.rested_at <= now
    ]
    return _in_order(able, rules)


@dataclass(frozen=True, slots=True)
class Relief:
    """What is to be done in an emergency; names in order.

    Attributes:
        sleep: put these to sleep now.
        stop: stop these now.
        refuse: start no service of these priorities.
    """

    sleep: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    refuse: frozenset[Priority] = frozenset()


def relief(
    level: Level, readings: int, candidates: Iterable[Candidate], now: float, rules: ResourceRules
) -> Relief:
    """What is to be done at one reading of the pressure; nothing below EMERGENCY.

    Args:
        level: how hard-pressed the machine is.
        readings: how many readings in a row found an emergency, this one counted; so many actions are taken.
        candidates: all services.
        now: the time.
        rules: the actions and the order of protection.
    """
    if level is not Level.EMERGENCY:
        return Relief()
    everyone = tuple(candidates)
    actions = rules.emergency.actions[: max(0, readings)]
    stop = [
        candidate.spec.name
        for candidate in _in_order(filter(_may_stop, everyone), rules)
        if Action.STOP_IDLE in actions or (Action.STOP_STATELESS in actions and candidate.spec.stateless)
    ]
    sleep = first_to_sleep(everyone, now, rules) if Action.SLEEP_IDLE in actions else ()
    return Relief(
        tuple(candidate.spec.name for candidate in sleep if candidate.spec.name not in stop),
        tuple(stop),
        refused(actions, rules),
    )


def to_fit(
    limit: int, held: Mapping[str, int], candidates: Iterable[Candidate], now: float, rules: ResourceRules
) -> tuple[str, ...]:
    """The idle services to put to sleep so that what all services hold comes below a limit, first one first.

    Each of them is counted as if its sleep gave back everything; what it does not is in the next reading.

    Args:
        limit: the bytes that all services may hold together.
        held: the bytes that each of them holds, by name.
        candidates: all services.
        now: the time.
        rules: the order of protection.
    """
    too_much = sum(held.values()) - limit
    chosen: list[str] = []
    for candidate in first_to_sleep(candidates, now, rules):
        if too_much <= 0:
            break
        if (own := held.get(candidate.spec.name, 0)) > 0:
            chosen.append(candidate.spec.name)
            too_much -= own
    return tuple(chosen)


def refused(actions: Iterable[Action], rules: ResourceRules) -> frozenset[Priority]:
    """The priorities of which these actions start no service; never the critical one."""
    order = rules.emergency.protection
    named = [order.index(priority) for action in actions if (priority := action.refused)]
    return frozenset(order[min(named) :]) - {Priority.CRITICAL} if named else frozenset()


def _may_stop(candidate: Candidate) -> bool:
    """Whether stopping it interrupts nobody: it is idle, or asleep and so still has some memory."""
    quiet = candidate.idle or (candidate.state is State.SLEEPING and not candidate.usage.held)
    return candidate.here and quiet and not stays_warm(candidate.spec)


def _in_order(candidates: Iterable[Candidate], rules: ResourceRules) -> tuple[Candidate, ...]:
    return tuple(
        sorted(
            candidates,
            key=lambda candidate: (
                -rules.vulnerability(candidate.spec),
                candidate.usage.idle_since,
                candidate.spec.name,
            ),
        )
    )
