"""Hypothesis against the breaker: a plain model of DESIGN's rules, and a check of seeded histories.

The model keeps what an observer could write down: the consecutive failures, when it opened, which probes are
out. It knows nothing of generations; that late results change nothing is what it would notice.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.unit.balance.clock import ManualClock
from tool_router.balance.breaker import Breaker, BreakerSettings, State, Transition
from tool_router.balance.permit import Permit

CHANGES = {
    (State.CLOSED, State.OPEN),
    (State.OPEN, State.HALF_OPEN),
    (State.HALF_OPEN, State.OPEN),
    (State.HALF_OPEN, State.CLOSED),
    (State.OPEN, State.CLOSED),
}


@dataclass
class Held:
    """A permit with the epoch it was issued in; every change of state begins a new epoch."""

    permit: Permit
    epoch: int
    expires: float


@dataclass
class Model:
    """What the rules say, written plainly."""

    settings: BreakerSettings
    state: State = State.CLOSED
    epoch: int = 0
    failures: list[str] = field(default_factory=list[str])
    successes: int = 0
    open_until: float = 0.0
    rest_until: float = 0.0
    probes: list[Held] = field(default_factory=list[Held])

    def move(self, state: State, now: float) -> None:
        self.state, self.epoch, self.failures, self.successes, self.probes = state, self.epoch + 1, [], 0, []
        if state is State.OPEN:
            self.open_until = now + self.settings.open_s

    def admits(self, now: float) -> bool:
        if now < self.rest_until:
            return False
        if self.state is State.OPEN:
            return now >= self.open_until
        if self.state is State.HALF_OPEN:
            return len(self.live(now)) < self.settings.half_open_permits
        return True

    def live(self, now: float) -> list[Held]:
        return [probe for probe in self.probes if now < probe.expires]

    def counts(self, held: Held, now: float) -> bool:
        if held.epoch != self.epoch:
            return False
        return self.state is State.CLOSED or now < held.expires

    def success(self, now: float) -> None:
        if self.state is State.CLOSED:
            self.failures = []
            return
        self.successes += 1
        if self.successes >= self.settings.success_threshold:
            self.move(State.CLOSED, now)

    def failure(self, suspect: str, now: float) -> None:
        if self.state is State.HALF_OPEN:
            self.move(State.OPEN, now)
            return
        self.failures.append(suspect)
        enough = len(self.failures) >= self.settings.failure_threshold
        if enough and ("" in self.failures or len(set(self.failures)) > 1):
            self.move(State.OPEN, now)


class BreakerRules(RuleBasedStateMachine):
    """Callers are admitted, answer in any order, late, twice or never, while time passes."""

    held = Bundle("held")

    @initialize(
        threshold=st.integers(1, 5),
        permits=st.integers(1, 4),
        successes=st.integers(1, 3),
        ttl=st.sampled_from([7.0, 60.0]),
    )
    def begin(self, threshold: int, permits: int, successes: int, ttl: float) -> None:
        self.clock = ManualClock()
        self.settings = BreakerSettings(threshold, 30.0, permits, successes, ttl)
        self.model = Model(self.settings)
        self.seen: list[Transition] = []
        self.breaker = Breaker(self.settings, self.clock, self.seen.append)

    @rule(target=held)
    def ask(self) -> Held | None:
        now = self.clock()
        expected = self.model.admits(now)
        answer = self.breaker.admit()
        assert isinstance(answer, Permit) is expected
        if not isinstance(answer, Permit):
            assert answer.retry_after_s > 0
            return None
        if self.model.state is State.OPEN:
            self.model.move(State.HALF_OPEN, now)
        held = Held(answer, self.model.epoch, now + self.settings.permit_ttl_s)
        if self.model.state is State.HALF_OPEN:
            self.model.probes.append(held)
        return held

    @rule(
        held=consumes(held),
        outcome=st.sampled_from(["success", "failure", "failure", "ignore", "cancel"]),
        suspect=st.sampled_from(["", "", "a", "b"]),
    )
    def give_back(self, held: Held | None, outcome: str, suspect: str) -> None:
        if held is None:
            return
        now = self.clock()
        counts = self.model.counts(held, now)
        if held in self.model.probes:
            self.model.probes.remove(held)
        match outcome:
            case "success":
                held.permit.success()
                if counts:
                    self.model.success(now)
            case "failure":
                held.permit.failure(suspect)
                if counts:
                    self.model.failure(suspect, now)
            case _:
                held.permit.ignore()
        # A second word never counts.
        held.permit.failure()
        held.permit.success()

    @rule(held=consumes(held))
    def lose(self, held: Held | None) -> None:
        """The caller vanishes with its permit."""

    @rule(seconds=st.sampled_from([0.001, 1.0, 6.999, 29.999, 30.0, 30.001, 60.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([0.5, 60.0]))
    def push_back(self, seconds: float) -> None:
        until = self.clock() + seconds
        self.breaker.rest(until)
        self.model.rest_until = max(self.model.rest_until, until)

    @precondition(lambda self: self.model.state is not State.CLOSED)
    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        self.model.rest_until = 0.0
        self.model.move(State.CLOSED, self.clock())

    @invariant()
    def it_shows_the_state_of_the_rules(self) -> None:
        now = self.clock()
        rested = self.model.state is State.OPEN and now >= self.model.open_until
        assert self.breaker.state is (State.HALF_OPEN if rested else self.model.state)

    @invariant()
    def it_is_never_wedged(self) -> None:
        """The longest of all waits later somebody is admitted: a lost probe wedges nothing."""
        now = self.clock.now
        expiries = [probe.expires for probe in self.model.probes]
        self.clock.now = max(now, self.model.open_until, self.model.rest_until, *expiries)
        assert self.breaker.refusal() is None
        self.clock.now = now

    @invariant()
    def its_transitions_form_one_path(self) -> None:
        assert all((one.before, one.after) in CHANGES for one in self.seen)
        assert all(first.after is second.before for first, second in pairwise(self.seen))


TestBreakerRules = BreakerRules.TestCase
TestBreakerRules.settings = hypothesis_settings(max_examples=150, stateful_step_count=60, deadline=None)


@pytest.mark.parametrize("seed", range(20))
def test_no_history_admits_a_call_while_open_or_more_probes_than_allowed(seed: int) -> None:
    """Random callers for two thousand steps; the log of what was admitted is judged afterwards."""
    dice = random.Random(seed)
    clock = ManualClock()
    settings = BreakerSettings(half_open_permits=dice.randint(1, 4), success_threshold=dice.randint(1, 3))
    moves: list[Transition] = []
    breaker = Breaker(settings, clock, moves.append)
    out: list[Permit] = []
    admissions: list[tuple[float, int]] = []
    returns: dict[int, float] = {}
    numbers: dict[int, int] = {}
    sick = False
    for _ in range(2000):
        clock.advance(dice.choice([0.0, 0.01, 0.5, 3.0]))
        sick = sick if dice.random() < 0.97 else not sick
        if dice.random() < 0.55:
            answer = breaker.admit()
            if isinstance(answer, Permit):
                numbers[id(answer)] = len(admissions)
                admissions.append((clock(), len(moves)))
                out.append(answer)
        elif out:
            permit = out.pop(dice.randrange(len(out)))
            returns[numbers[id(permit)]] = clock()
            if dice.random() < 0.1:
                permit.ignore()
            elif sick:
                permit.failure()
            else:
                permit.success()
    states = [State.CLOSED, *(move.after for move in moves)]
    assert State.HALF_OPEN in states
    assert all(states[epoch] is not State.OPEN for _, epoch in admissions)
    for before, after in pairwise(moves):
        if before.after is State.OPEN:
            assert after.at - before.at >= settings.open_s
    probes = [
        (number, at, epoch)
        for number, (at, epoch) in enumerate(admissions)
        if states[epoch] is State.HALF_OPEN
    ]
    for _, at, epoch in probes:
        together = [
            other
            for other, started, its_epoch in probes
            if its_epoch == epoch
            and started <= at < min(returns.get(other, float("inf")), started + settings.permit_ttl_s)
        ]
        assert len(together) <= settings.half_open_permits
