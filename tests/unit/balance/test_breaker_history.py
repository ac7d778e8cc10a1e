"""Histories of many callers at once, recorded and then judged by a checker that knows the rules alone.

The callers are simulated: each asks, holds what it was admitted with for as long as its call takes, and
returns it with what it met, late, after its expiry or never. What happened is written down as a list of
events. The checker reads that list; it never looks at a breaker.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

import pytest

from tests.unit.balance.clock import ManualClock
from tool_router.balance.admission import Admission
from tool_router.balance.breaker import BreakerSettings, State, Transition
from tool_router.balance.outcome import CallKeys
from tool_router.balance.permit import Permit
from tool_router.errors import BreakerOpen, GatewayError, GatewayFailed, GatewayTimeout, UpstreamFailed

TICK_S = 1 / 64
"""Times are multiples of a power of two, so that adding them up is exact."""

CALLERS = 40
STEPS = 8000
TARGET = "target:main"


@dataclass(frozen=True, slots=True)
class Admitted:
    at: float
    call: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    at: float
    keys: tuple[str, ...]
    by: tuple[str, ...]
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Returned:
    """Written before the permits are given back; `met` is "success", "cancelled" or an error's name."""

    at: float
    call: int
    met: str


@dataclass(frozen=True, slots=True)
class Moved:
    at: float
    key: str
    before: State
    after: State


@dataclass(frozen=True, slots=True)
class Reset:
    at: float
    key: str


Event = Admitted | Refused | Returned | Moved | Reset


@dataclass
class Simulation:
    """Callers of nine tools of three services behind one target, some of which are sick for a while."""

    seed: int
    settings: BreakerSettings
    clock: ManualClock = field(default_factory=ManualClock)
    history: list[Event] = field(default_factory=list[Event])

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.admission = Admission(self.settings, self.clock)
        self.admission.listen(self.moved)
        self.sick: set[str] = set()
        self.numbers = count()
        self.turns = count()
        self.held: dict[int, tuple[CallKeys, Mapping[str, Permit]]] = {}
        # When, an order among equals, and the call that then ends; None where a caller asks.
        self.agenda: list[tuple[float, int, int | None]] = []

    def moved(self, key: str, move: Transition) -> None:
        self.history.append(Moved(self.clock.now, key, move.before, move.after))

    def run(self) -> list[Event]:
        self.clock.now = 0.0
        for _ in range(CALLERS):
            self.schedule(self.dice.randrange(64) * TICK_S, None)
        for _ in range(STEPS):
            self.clock.now, _, call = heapq.heappop(self.agenda)
            self.change_health()
            if call is None:
                self.ask()
            else:
                self.end(call)
        return self.history

    def schedule(self, after_s: float, call: int | None) -> None:
        heapq.heappush(self.agenda, (self.clock.now + after_s, next(self.turns), call))

    def change_health(self) -> None:
        if self.dice.random() < 0.02:
            what = self.dice.choice([TARGET, "service:0", "service:1", "tool:0:0", "tool:1:2", "tool:2:1"])
            self.sick ^= {what}
        if self.dice.random() < 0.002:
            key = self.dice.choice(list(self.admission.states()) or [TARGET])
            self.history.append(Reset(self.clock.now, key))
            self.admission.reset(key)

    def ask(self) -> None:
        service, name = self.dice.randrange(3), self.dice.randrange(3)
        keys = CallKeys({"target": TARGET, "service": f"service:{service}", "tool": f"tool:{service}:{name}"})
        at = self.clock.now
        names = tuple(keys.by_scope.values())
        before = len(self.history)
        try:
            permits = self.admission.admit(keys)
        except BreakerOpen as refused:
            self.history.append(Refused(at, names, refused.keys, refused.retry_after_s))
            self.schedule(self.dice.choice([1, 8, 64, 640]) * TICK_S, None)
            return
        call = next(self.numbers)
        # A move into HALF_OPEN is a part of the admission, and is read after it.
        self.history.insert(before, Admitted(at, call, names))
        self.held[call] = (keys, permits)
        took = self.dice.choices([1, 16, 128, 1024, 6400], [30, 30, 20, 10, 10])[0]
        self.schedule(took * TICK_S, call)

    def end(self, call: int) -> None:
        keys, permits = self.held.pop(call)
        self.schedule(self.dice.choice([1, 4, 32]) * TICK_S, None)
        if self.dice.random() < 0.03:
            # Its caller is gone, and nobody gives the permits back.
            return
        error = self.error_of(keys)
        cancelled = self.dice.random() < 0.1
        met = "cancelled" if cancelled else type(error).__name__ if error else "success"
        self.history.append(Returned(self.clock.now, call, met))
        if cancelled:
            for permit in permits.values():
                permit.ignore()
        elif error is not None:
            self.admission.failed(keys, permits, error)
        else:
            self.admission.succeeded(permits)

    def error_of(self, keys: CallKeys) -> GatewayError | None:
        if TARGET in self.sick:
            return GatewayFailed("It broke off.")
        if not self.sick & set(keys.by_scope.values()):
            return None
        return self.dice.choice([UpstreamFailed("It failed."), GatewayTimeout("It was silent.")])


def said_of(keys: tuple[str, ...], met: str) -> Mapping[str, str | None]:
    """What a call's end says of its keys: None that it works, else who may be at fault; "" is the key itself.

    A key that is missing is not spoken of. This is the table of DESIGN, section 5.
    """
    target, service, tool = keys
    match met:
        case "success":
            return dict.fromkeys(keys)
        case "GatewayFailed":
            return {target: ""}
        case "UpstreamFailed":
            return {target: None, service: tool, tool: ""}
        case "GatewayTimeout":
            return {target: service, service: tool, tool: ""}
        case _:
            return {}


@dataclass
class Witness:
    """What is known of one key from the events read so far."""

    key: str
    settings: BreakerSettings
    state: State = State.CLOSED
    since: float = 0.0
    suspects: list[str] = field(default_factory=list[str])
    successes: int = 0
    probes: dict[int, float] = field(default_factory=dict[int, float])
    current: set[int] = field(default_factory=set[int])
    due: State | None = None

    def admitted(self, event: Admitted) -> Iterator[str]:
        if self.state is State.OPEN:
            if event.at - self.since < self.settings.open_s:
                yield f"{self.key} admitted call {event.call} while open"
            self.due = State.HALF_OPEN
            self.probes[event.call] = event.at
        elif self.state is State.HALF_OPEN:
            live = [at for at in self.probes.values() if event.at - at < self.settings.permit_ttl_s]
            if len(live) >= self.settings.half_open_permits:
                yield f"{self.key} admitted call {event.call} beside {len(live)} probes"
            self.probes[event.call] = event.at
        self.current.add(event.call)

    def returned(self, event: Returned, said: Mapping[str, str | None]) -> bool:
        """Reckon with the end of a call; whether it counted."""
        late = event.call not in self.current
        began = self.probes.pop(event.call, None)
        self.current.discard(event.call)
        if began is not None and event.at - began >= self.settings.permit_ttl_s:
            late = True
        if late or self.key not in said:
            return not late
        suspect = said[self.key]
        if self.state is State.HALF_OPEN:
            self.successes += suspect is None
            if suspect is not None:
                self.due = State.OPEN
            elif self.successes >= self.settings.success_threshold:
                self.due = State.CLOSED
        elif suspect is None:
            self.suspects.clear()
        else:
            self.suspects.append(suspect)
            certain = "" in self.suspects or len(set(self.suspects)) > 1
            if len(self.suspects) >= self.settings.failure_threshold and certain:
                self.due = State.OPEN
        return True

    def moved(self, event: Moved) -> Iterator[str]:
        if (event.before, event.after) != (self.state, self.due):
            due = self.due.value if self.due else "nothing"
            yield f"{self.key} moved from {event.before} to {event.after} where {due} was due"
        # What was admitted under HALF_OPEN by this very event belongs to the new state.
        probes = self.probes if event.after is State.HALF_OPEN else {}
        self.begin(event.after, event.at)
        self.probes, self.current = dict(probes), set(probes)

    def begin(self, state: State, at: float) -> None:
        self.state, self.since, self.due = state, at, None
        self.suspects, self.successes, self.probes, self.current = [], 0, {}, set()


@dataclass
class Checker:
    """Reads a history and says what in it breaks a rule."""

    settings: BreakerSettings
    seen: dict[str, Witness] = field(default_factory=dict[str, Witness])
    calls: dict[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    promises: dict[tuple[str, ...], float] = field(default_factory=dict[tuple[str, ...], float])
    late: int = 0
    opened: int = 0
    probes: int = 0

    def judge(self, history: list[Event]) -> list[str]:
        wrong: list[str] = []
        for event in history:
            if not isinstance(event, Moved):
                wrong += [f"{one.key} did not move to {one.due}" for one in self.seen.values() if one.due]
            wrong += [f"{event.at:.3f} s: {complaint}" for complaint in self.read(event)]
        return wrong

    def read(self, event: Event) -> Iterator[str]:
        match event:
            case Admitted():
                self.calls[event.call] = event.keys
                if event.at < self.promises.get(event.keys, 0.0):
                    yield f"call {event.call} was admitted before the time a refusal had named"
                for key in event.keys:
                    self.probes += self.of(key).state is not State.CLOSED
                    yield from self.of(key).admitted(event)
            case Refused():
                if all(self.of(key).state is State.CLOSED for key in event.by) or event.retry_after_s <= 0:
                    yield f"{event.by} refused for no reason"
                self.promises[event.keys] = event.at + event.retry_after_s
            case Returned():
                keys = self.calls.pop(event.call)
                self.forget_promises(*keys)
                said = said_of(keys, event.met)
                self.late += sum(not self.of(key).returned(event, said) for key in keys)
            case Moved():
                self.opened += event.after is State.OPEN
                yield from self.of(event.key).moved(event)
            case Reset():
                self.forget_promises(event.key)
                witness = self.of(event.key)
                if witness.state is State.CLOSED:
                    witness.begin(State.CLOSED, event.at)
                else:
                    witness.due = State.CLOSED

    def of(self, key: str) -> Witness:
        return self.seen.setdefault(key, Witness(key, self.settings))

    def forget_promises(self, *keys: str) -> None:
        """A time was named as things were then; what happened to one of its keys may have changed it."""
        self.promises = {of: at for of, at in self.promises.items() if not set(of) & set(keys)}


def settings_of(seed: int) -> BreakerSettings:
    dice = random.Random(seed)
    return BreakerSettings(
        failure_threshold=dice.randint(2, 5),
        open_s=dice.choice([10.0, 30.0]),
        half_open_permits=dice.randint(1, 4),
        success_threshold=dice.randint(1, 3),
        permit_ttl_s=dice.choice([20.0, 60.0]),
    )


@pytest.mark.parametrize("seed", range(12))
def test_no_rule_is_broken_in_thousands_of_calls_by_many_callers(seed: int) -> None:
    settings = settings_of(seed)
    history = Simulation(seed, settings).run()
    checker = Checker(settings)
    assert checker.judge(history) == []
    # A history in which little happened would prove little.
    assert checker.opened > 10
    assert checker.late > 10
    assert checker.probes > 10


def test_the_same_seed_gives_the_same_history() -> None:
    first, second = (Simulation(3, settings_of(3)).run() for _ in range(2))
    assert first == second


def ordinary() -> tuple[BreakerSettings, list[Event]]:
    settings = BreakerSettings(failure_threshold=2, open_s=10.0, permit_ttl_s=20.0)
    keys = (TARGET, "service:0", "tool:0:0")
    return settings, [
        Admitted(0.0, 0, keys),
        Admitted(0.0, 1, keys),
        Admitted(0.0, 2, keys),
        Returned(1.0, 0, "GatewayFailed"),
        Returned(1.0, 1, "GatewayFailed"),
        Moved(1.0, TARGET, State.CLOSED, State.OPEN),
        Refused(2.0, keys, (TARGET,), 9.0),
        Returned(3.0, 2, "GatewayFailed"),
        Admitted(11.0, 3, keys),
        Moved(11.0, TARGET, State.OPEN, State.HALF_OPEN),
        Returned(12.0, 3, "success"),
        Moved(12.0, TARGET, State.HALF_OPEN, State.CLOSED),
    ]


def test_the_checker_has_nothing_against_an_ordinary_history() -> None:
    settings, history = ordinary()
    assert Checker(settings).judge(history) == []


def test_the_checker_objects_to_an_admission_while_open() -> None:
    settings, history = ordinary()
    history[8] = Admitted(10.5, 3, (TARGET, "service:0", "tool:0:0"))
    assert "while open" in "".join(Checker(settings).judge(history))


def test_the_checker_objects_to_one_probe_too_many() -> None:
    settings, history = ordinary()
    history.insert(10, Admitted(11.5, 4, (TARGET, "service:1", "tool:1:0")))
    assert "beside 1 probes" in "".join(Checker(settings).judge(history))
    assert Checker(replace(settings, half_open_permits=2)).judge(history) == []


def test_the_checker_objects_to_a_late_result_that_moves_it() -> None:
    settings, history = ordinary()
    history.insert(10, Moved(11.5, TARGET, State.HALF_OPEN, State.OPEN))
    history.insert(10, Returned(11.5, 2, "GatewayFailed"))
    del history[7]
    assert "where nothing was due" in "".join(Checker(settings).judge(history))


def test_the_checker_objects_to_a_result_that_moves_nothing() -> None:
    settings, history = ordinary()
    del history[5]
    assert "did not move to open" in "".join(Checker(settings).judge(history))


def test_the_checker_objects_to_a_broken_promise() -> None:
    settings, history = ordinary()
    # Without the return in between, which may change what was said.
    del history[7]
    history[6] = replace(history[6], retry_after_s=9.5)
    assert "before the time" in "".join(Checker(settings).judge(history))
