"""Whether a service may start or wake now, who makes room for it, and when it is told that it can't: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from service_manager.errors import LimitReached
from service_manager.model import Priority, ServiceSpec, State
from service_manager.policy.idle import stays_warm
from service_manager.policy.order import Candidate, first_to_sleep
from service_manager.policy.rules import Level, ResourceRules


@dataclass(frozen=True, slots=True)
class Admitted:
    """It may start now."""


@dataclass(frozen=True, slots=True)
class MakeRoom:
    """It may start once this service sleeps, which is idle; ask again then, or when that failed."""

    name: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again when a service has changed its state or its leases, at the latest at this time."""

    until: float


@dataclass(frozen=True, slots=True)
class Refused:
    """It is not started; the error says by which limit."""

    error: LimitReached


Decision = Admitted | MakeRoom | Wait | Refused


@dataclass(frozen=True, slots=True)
class Waiting:
    """A start or a wake that waits for room, since a time."""

    spec: ServiceSpec
    asked_at: float


@dataclass(frozen=True, slots=True)
class Room:
    """How much room there is.

    Attributes:
        memory: the bytes that all services may hold together; None for no limit.
        held: the bytes they hold.
        refused: the priorities of which no service is started, in an emergency.
        unable: names of services that could not be put to sleep when it was tried, so that others are chosen.
    """

    memory: int | None = None
    held: int = 0
    refused: Collection[Priority] = frozenset()
    unable: Collection[str] = frozenset()

    @property
    def full(self) -> bool:
        """Whether the memory of all services is used up."""
        return self.memory is not None and self.held >= self.memory


def admit(
    asking: Waiting,
    candidates: Iterable[Candidate],
    others: Sequence[Waiting],
    now: float,
    rules: ResourceRules,
    room: Room,
) -> Decision:
    """Whether a service may start or wake now.

    There is room while fewer than `max_concurrent` services are awake and their memory is within its limit.
    Otherwise idle services make room, whatever their priority: somebody waits for this one, nobody for them.
    Better protected services are served first, then those that asked first. What is awake already, or runs
    elsewhere, is always admitted.

    Args:
        asking: the service, and since when it waits.
        candidates: all services, it among them.
        others: the other starts and wakes that wait.
        now: the time, on the clock of all of these.
        rules: the limits.
        room: the memory that is in use, and what an emergency refuses.
    """
    everyone = tuple(candidates)
    name = asking.spec.name
    own = next((candidate for candidate in everyone if candidate.spec.name == name), None)
    if own is not None and (own.counts or not own.here):
        return Admitted()
    if asking.spec.priority in room.refused and (own is None or own.state is not State.SLEEPING):
        return Refused(_emergency(name))
    awake = [candidate for candidate in everyone if candidate.counts]
    limit = rules.system.max_concurrent
    free = (float("inf") if limit is None else limit - len(awake)) if not room.full or not awake else 0
    ahead = sum(_before(other, asking, rules) for other in others)
    if free > ahead:
        return Admitted()
    idle = [
        candidate for candidate in first_to_sleep(awake, now, rules) if candidate.spec.name not in room.unable
    ]
    # Those ahead take what is free, and the first of the idle ones.
    needed = int(ahead - max(0, free))
    deadline = asking.asked_at + rules.system.start_wait_s
    if needed < len(idle):
        return MakeRoom(idle[needed].spec.name)
    if now >= deadline:
        return Refused(_too_long(name, awake, rules, room))
    rested = [
        candidate.rested_at
        for candidate in awake
        if candidate.idle and candidate.rested_at > now and not stays_warm(candidate.spec)
    ]
    return Wait(min([deadline, *rested]))


def spare(
    candidates: Iterable[Candidate],
    waiting: Sequence[Waiting],
    level: Level,
    rules: ResourceRules,
    room: Room,
) -> int:
    """How many services may be woken ahead of a request that may never come.

    None under pressure, and nobody is put to sleep for them.
    """
    if level is not Level.NORMAL or room.full or waiting:
        return 0
    limit = rules.system.max_concurrent
    everyone = tuple(candidates)
    if limit is None:
        return len(everyone)
    return max(0, limit - sum(candidate.counts for candidate in everyone))


def _before(other: Waiting, asking: Waiting, rules: ResourceRules) -> bool:
    if other.spec.name == asking.spec.name:
        return False

    def rank(waiting: Waiting) -> tuple[int, float, str]:
        return rules.vulnerability(waiting.spec), waiting.asked_at, waiting.spec.name

    return rank(other) < rank(asking)


def _emergency(name: str) -> LimitReached:
    return LimitReached(
        f"{name} is not started: the machine has too little memory left for another service.",
        "Try again later, end something else, or change `emergency:` in resource-limits.yml.",
    )


def _too_long(name: str, awake: Sequence[Candidate], rules: ResourceRules, room: Room) -> LimitReached:
    busy = ", ".join(sorted(candidate.spec.name for candidate in awake)[:5])
    more = f" and {len(awake) - 5} more" if len(awake) > 5 else ""
    waited = f"within {rules.system.start_wait_s:g} s"
    if room.full:
        assert room.memory is not None
        return LimitReached(
            f"{name} is not started: all services together hold {room.held // 2**20} MB of the "
            f"{room.memory // 2**20} MB they may, and none made room {waited} ({busy}{more}).",
            "Try again, or raise `system: memory:` in resource-limits.yml.",
        )
    return LimitReached(
        f"{name} is not started: {len(awake)} services are awake, the most that may be, and none became idle "
        f"{waited} ({busy}{more}).",
        "Try again, or raise `system: max_concurrent:` in resource-limits.yml.",
    )
