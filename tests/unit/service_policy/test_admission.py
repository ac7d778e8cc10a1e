"""Who may start, who makes room, who waits, and who is told that it can't."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_manager.model import DeploymentSource, Priority, State, UrlSource
from service_manager.policy.admission import (
    Admitted,
    Decision,
    MakeRoom,
    Refused,
    Room,
    Wait,
    Waiting,
    admit,
    spare,
)
from service_manager.policy.order import Candidate
from service_manager.policy.rules import Level, ResourceRules, SystemRules
from tests.unit.service_policy.specs import candidate, spec

NOW = 1000.0
NOBODY: tuple[Waiting, ...] = ()


def rules(most: int | None, wait: float = 15.0) -> ResourceRules:
    return ResourceRules(system=SystemRules(max_concurrent=most, start_wait_s=wait))


def ask(
    *services: Candidate,
    most: int | None = 1,
    others: tuple[Waiting, ...] = NOBODY,
    asked_at: float = NOW,
    priority: Priority = Priority.NORMAL,
    room: Room = Room(),  # noqa: B008
) -> Decision:
    return admit(Waiting(spec("new", priority), asked_at), services, others, NOW, rules(most), room)


def test_below_the_limit_it_starts() -> None:
    assert ask(candidate("a", held=1), most=2) == Admitted()
    assert ask(*(candidate(str(n), held=1) for n in range(50)), most=None) == Admitted()


def test_at_the_limit_an_idle_service_makes_room_the_least_protected_first() -> None:
    high, low = candidate("high", Priority.HIGH), candidate("low", Priority.LOW)
    assert ask(high, low, most=2) == MakeRoom("low")
    assert ask(high, candidate("low", Priority.LOW, held=1), most=2) == MakeRoom("high")


def test_one_that_could_not_be_put_to_sleep_is_not_asked_again() -> None:
    services = candidate("a"), candidate("b")
    assert ask(*services, most=2, room=Room(unable={"a"})) == MakeRoom("b")
    assert ask(*services, most=2, room=Room(unable={"a", "b"})) == Wait(NOW + 15.0)


def test_with_nobody_idle_it_waits_as_long_as_the_file_says_and_is_then_told_why() -> None:
    busy = candidate("busy", held=1)
    assert ask(busy) == Wait(NOW + 15.0)
    given_up = ask(busy, asked_at=NOW - 15.0)
    assert isinstance(given_up, Refused)
    assert "1 services are awake" in str(given_up.error)
    assert "busy" in str(given_up.error)
    assert "max_concurrent" in given_up.error.next_step


def test_it_looks_again_when_an_idle_service_may_sleep_at_last() -> None:
    assert ask(candidate("new-awake", awake_since=NOW - 25.0)) == Wait(NOW + 5.0)


@pytest.mark.parametrize("state", [State.STARTING, State.WAKING, State.STOPPING])
def test_what_comes_or_goes_takes_room(state: State) -> None:
    assert isinstance(ask(candidate("a", state=state)), Wait)


@pytest.mark.parametrize("state", [State.SLEEPING, State.STOPPED, State.FAILED])
def test_what_sleeps_or_is_stopped_takes_none(state: State) -> None:
    assert ask(candidate("a", state=state)) == Admitted()


@pytest.mark.parametrize("source", [UrlSource("http://localhost/mcp"), DeploymentSource("n", "d")])
def test_what_runs_elsewhere_takes_none_and_needs_none(source: UrlSource | DeploymentSource) -> None:
    busy, elsewhere = candidate("busy", held=1), candidate("far", source=source, state=State.STOPPED)
    assert ask(candidate("far", source=source)) == Admitted()
    asking = Waiting(elsewhere.spec, NOW)
    assert admit(asking, (busy, elsewhere), NOBODY, NOW, rules(1), Room()) == Admitted()


def test_better_protected_services_are_served_first_and_then_those_that_asked_first() -> None:
    idle = candidate("first", Priority.LOW), candidate("second", Priority.HIGH)
    urgent = Waiting(spec("urgent", Priority.HIGH), NOW)
    earlier = Waiting(spec("earlier"), NOW - 1)
    later = Waiting(spec("later"), NOW + 1)
    assert ask(*idle, most=2, others=(later,)) == MakeRoom("first")
    assert ask(*idle, most=2, others=(urgent,)) == MakeRoom("second")
    assert isinstance(ask(*idle, most=2, others=(urgent, earlier)), Wait)
    assert isinstance(ask(most=1, others=(urgent,)), Wait)


def test_the_memory_of_all_services_is_a_limit_of_its_own() -> None:
    full = Room(memory=100 * 2**20, held=100 * 2**20)
    assert ask(candidate("idle"), most=None, room=full) == MakeRoom("idle")
    told = ask(candidate("busy", held=1), most=None, room=full, asked_at=0.0)
    assert isinstance(told, Refused)
    assert "100 MB of the 100 MB" in str(told.error)


def test_full_memory_without_any_service_keeps_none_from_starting() -> None:
    assert ask(most=5, room=Room(memory=1, held=1)) == Admitted()


def test_an_emergency_refuses_starts_at_once_but_lets_sleepers_wake() -> None:
    room = Room(refused={Priority.LOW})
    refused = ask(most=5, priority=Priority.LOW, room=room)
    assert isinstance(refused, Refused)
    assert "too little memory" in str(refused.error)
    assert ask(most=5, room=room) == Admitted()
    sleeper = candidate("new", Priority.LOW, State.SLEEPING)
    assert ask(sleeper, most=5, priority=Priority.LOW, room=room) == Admitted()


def test_what_runs_already_is_admitted() -> None:
    assert ask(candidate("new", held=1), candidate("a", held=1), most=1) == Admitted()


def test_nobody_is_woken_ahead_under_pressure_or_while_somebody_waits() -> None:
    services = [candidate("a"), candidate("b", state=State.SLEEPING)]
    assert spare(services, NOBODY, Level.NORMAL, rules(3), Room()) == 2
    assert spare(services, NOBODY, Level.NORMAL, rules(None), Room()) == 2
    assert spare(services, NOBODY, Level.ELEVATED, rules(3), Room()) == 0
    assert spare(services, (Waiting(spec(), 0.0),), Level.NORMAL, rules(3), Room()) == 0
    assert spare(services, NOBODY, Level.NORMAL, rules(3), Room(memory=1, held=2)) == 0
    assert spare(services, NOBODY, Level.NORMAL, rules(1), Room()) == 0


states = st.builds(
    candidate,
    st.uuids().map(str),
    st.sampled_from(Priority),
    st.sampled_from(State),
    held=st.integers(0, 1),
    awake_since=st.floats(0, NOW),
)


@given(st.lists(states, max_size=8), st.integers(1, 6), st.integers(0, 3))
def test_never_more_start_at_once_than_there_is_room_for(
    services: list[Candidate], most: int, waiting: int
) -> None:
    asking = [Waiting(spec(f"new{n}"), NOW - n) for n in range(waiting + 1)]
    decisions = [
        admit(one, services, [other for other in asking if other is not one], NOW, rules(most), Room())
        for one in asking
    ]
    awake = sum(one.counts for one in services)
    assert sum(decision == Admitted() for decision in decisions) <= max(0, most - awake)
    room_makers = [decision.name for decision in decisions if isinstance(decision, MakeRoom)]
    assert len(room_makers) == len(set(room_makers))
    for decision in decisions:
        if isinstance(decision, Wait):
            assert decision.until > NOW


def test_a_wait_never_ends_later_than_it_may() -> None:
    asked = Waiting(spec("new"), NOW - 3)
    busy = candidate("busy", held=1)
    assert admit(asked, [busy], NOBODY, NOW, replace(rules(1, wait=4.0)), Room()) == Wait(NOW + 1.0)
