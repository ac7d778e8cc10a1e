"""A circuit breaker: pure, with an injected monotonic clock.

    CLOSED ──failure_threshold consecutive failures──► OPEN ──open_s passed──► HALF_OPEN
       ▲                                                ▲                         │
       │                                                └────── one failure ──────┤
       └────────────────── success_threshold successes ───────────────────────────┘

Whoever is admitted holds a permit and returns it with what happened. A permit belongs to the state it was
issued in: once the breaker has moved on, its result changes nothing. In HALF_OPEN a permit that is never
returned expires after `permit_ttl_s`, so that a lost probe can't wedge the breaker.

Not thread-safe: one event loop owns a breaker, and no method awaits, so each call is atomic there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from tool_router.balance.permit import Outcome, Permit

Clock = Callable[[], float]
"""Monotonic seconds; a wall clock would open and close breakers when the time is set."""


class State(StrEnum):
    """The states of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens, rests and closes.

    Attributes:
        failure_threshold: consecutive failures that open it.
        open_s: seconds it rests before it admits probes.
        half_open_permits: probes that may be under way at once.
        success_threshold: successful probes that close it.
        permit_ttl_s: seconds after which an unreturned probe counts as lost; must exceed the longest call,
            or a slow probe gets company.

    Raises:
        ValueError: a count below 1, or a time that is not positive.
    """

    failure_threshold: int = 5
    open_s: float = 30.0
    half_open_permits: int = 1
    success_threshold: int = 1
    permit_ttl_s: float = 60.0

    def __post_init__(self) -> None:
        if min(self.failure_threshold, self.half_open_permits, self.success_threshold) < 1:
            raise ValueError("failure_threshold, half_open_permits and success_threshold must be at least 1")
        if not (self.open_s > 0 and self.permit_ttl_s > 0):
            raise ValueError("open_s and permit_ttl_s must be positive")


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not admitted; a new try makes sense after `retry_after_s` seconds.

    While probes are under way nobody knows when the last one returns; the time is then the earlier of its
    expiry and a whole `open_s`, the rest that its failure would bring.
    """

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state, at a reading of the breaker's clock."""

    before: State
    after: State
    at: float


TransitionListener = Callable[[Transition], None]


def ignore_transition(transition: Transition) -> None:
    """Listen to nothing."""


class Breaker:
    """Decides who may call, from what the callers before saw.

    Args:
        settings: when it opens, rests and closes.
        clock: monotonic seconds.
        on_transition: told every change of state once, inside the call that caused it.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        clock: Clock,
        on_transition: TransitionListener = ignore_transition,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._on_transition = on_transition
        self._state = State.CLOSED
        self._generation = 0
        self._failures = 0
        self._suspects: set[str] = set()
        self._successes = 0
        self._open_until = 0.0
        self._rest_until = 0.0
        self._issued = 0
        self._probes: dict[int, float] = {}

    @property
    def state(self) -> State:
        """The state at this moment; reading it changes nothing.

        An OPEN breaker whose rest is over reads HALF_OPEN; its transition happens when it admits somebody.
        """
        if self._state is State.OPEN and self._clock() >= self._open_until:
            return State.HALF_OPEN
        return self._state

    @property
    def resting(self) -> bool:
        """Whether a push-back (`rest`) holds calls off, whatever the state."""
        return self._clock() < self._rest_until

    @property
    def rest_s(self) -> float:
        """Seconds of push-back left; 0.0 without any."""
        return max(0.0, self._rest_until - self._clock())

    def refusal(self) -> Rejected | None:
        """Say whether a call would be refused now; changes nothing.

        Time alone never turns an admission into a refusal: what is None now stays None until a call is
        admitted or a permit is returned.
        """
        now = self._clock()
        wait_s = max(self._rest_until - now, self._state_wait_s(now))
        return Rejected(wait_s) if wait_s > 0 else None

    def admit(self) -> Permit | Rejected:
        """Admit a call, or say when to come back."""
        return self.refusal() or self._issue()

    def rest(self, until: float) -> None:
        """Hold every call off until this reading of the clock: the far side asked for it (HTTP 429).

        No failure: the state stays. A shorter rest than the one under way changes nothing.
        """
        self._rest_until = max(self._rest_until, until)

    def reset(self) -> None:
        """Close it and forget everything, push-back included: a person knows better."""
        self._rest_until = 0.0
        self._move(State.CLOSED)

    def _state_wait_s(self, now: float) -> float:
        """Seconds until the state admits somebody; 0.0 or less when it does now."""
        if self._state is State.OPEN:
            return self._open_until - now
        if self._state is State.HALF_OPEN:
            live = [expires for expires in self._probes.values() if expires > now]
            if len(live) >= self._settings.half_open_permits:
                return min(min(live) - now, self._settings.open_s)
        return 0.0

    def _issue(self) -> Permit:
        if self._state is State.OPEN:
            self._move(State.HALF_OPEN)
        self._issued += 1
        if self._state is State.HALF_OPEN:
            now = self._clock()
            live = {number: expires for number, expires in self._probes.items() if expires > now}
            self._probes = {**live, self._issued: now + self._settings.permit_ttl_s}
        return Permit(partial(self._take_back, self._generation, self._issued))

    def _take_back(self, generation: int, number: int, outcome: Outcome, suspect: str) -> None:
        """Take a permit back; a result from an older state, or from an expired probe, changes nothing."""
        if generation != self._generation:
            return
        if self._state is State.HALF_OPEN:
            expires = self._probes.pop(number, None)
            if expires is None or self._clock() >= expires:
                return
        if outcome is Outcome.SUCCESS:
            self._succeeded()
        elif outcome is Outcome.FAILURE:
            self._failed(suspect)

    def _succeeded(self) -> None:
        if self._state is State.HALF_OPEN:
            self._successes += 1
            if self._successes >= self._settings.success_threshold:
                self._move(State.CLOSED)
        else:
            self._failures = 0
            self._suspects.clear()

    def _failed(self, suspect: str) -> None:
        if self._state is State.HALF_OPEN:
            self._move(State.OPEN)
            return
        self._failures += 1
        self._suspects.add(suspect)
        explained = "" not in self._suspects and len(self._suspects) == 1
        if self._failures >= self._settings.failure_threshold and not explained:
            self._move(State.OPEN)

    def _move(self, after: State) -> None:
        before, now = self._state, self._clock()
        self._state = after
        self._generation += 1
        self._failures = 0
        self._suspects.clear()
        self._successes = 0
        self._probes = {}
        if after is State.OPEN:
            self._open_until = now + self._settings.open_s
        if after is not before:
            self._on_transition(Transition(before, after, now))


def admit_all(breakers: Mapping[str, Breaker]) -> Mapping[str, Permit | Rejected]:
    """Admit a call that needs every one of these breakers, or none of them.

    A refusal leaves the others untouched: no permit is issued, no probe is used up, no state changes.

    Returns:
        A permit for every key, or, where any refuses, a refusal for each key that does.
    """
    refusals: dict[str, Permit | Rejected] = {
        key: refusal for key, breaker in breakers.items() if (refusal := breaker.refusal()) is not None
    }
    return refusals or {key: breaker.admit() for key, breaker in breakers.items()}
