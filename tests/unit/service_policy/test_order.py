"""Who sleeps first, and what an emergency does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_manager.model import Priority, State, Tier, UrlSource
from service_manager.policy.order import Candidate, Relief, first_to_sleep, refused, relief, to_fit
from service_manager.policy.rules import Action, EmergencyRules, Level, ResourceRules
from tests.unit.service_policy.specs import candidate

RULES = ResourceRules()
LATE = 1000.0


def names(candidates: tuple[Candidate, ...]) -> list[str]:
    return [one.spec.name for one in candidates]


def with_actions(*actions: Action) -> ResourceRules:
    return replace(RULES, emergency=EmergencyRules(actions=actions))


def test_the_least_protected_sleep_first_and_among_equals_the_longest_unused() -> None:
    services = (
        candidate("high", Priority.HIGH, idle_since=1.0),
        candidate("normal-new", idle_since=500.0),
        candidate("normal-old", idle_since=2.0),
        candidate("low", Priority.LOW, idle_since=900.0),
    )
    assert names(first_to_sleep(services, LATE, RULES)) == ["low", "normal-old", "normal-new", "high"]


def test_another_order_of_protection_is_followed() -> None:
    order = (Priority.CRITICAL, Priority.LOW, Priority.NORMAL, Priority.HIGH)
    rules = replace(RULES, emergency=EmergencyRules(protection=order))
    services = (candidate("low", Priority.LOW), candidate("high", Priority.HIGH))
    assert names(first_to_sleep(services, LATE, rules)) == ["high", "low"]


@pytest.mark.parametrize(
    "spared",
    [
        candidate("held", held=1),
        candidate("critical", Priority.CRITICAL),
        candidate("warm", sleep=Tier.WARM),
        candidate("just woken", awake_since=LATE - 29.0),
        candidate("starting", state=State.STARTING),
        candidate("asleep", state=State.SLEEPING),
        candidate("elsewhere", source=UrlSource("http://localhost/mcp")),
    ],
    ids=lambda spared: spared.spec.name,
)
def test_some_are_not_put_to_sleep(spared: Candidate) -> None:
    assert first_to_sleep([spared], LATE, RULES) == ()


def test_below_an_emergency_nothing_is_done() -> None:
    for level in (Level.NORMAL, Level.ELEVATED, Level.HIGH):
        assert relief(level, 99, [candidate("s", Priority.LOW)], LATE, RULES) == Relief()


def test_an_emergency_takes_one_more_action_at_each_reading() -> None:
    services = [
        candidate("stateful"),
        candidate("stateless", stateless=True),
        candidate("sleeper", state=State.SLEEPING, stateless=True),
    ]

    def done(readings: int) -> Relief:
        return relief(Level.EMERGENCY, readings, services, LATE, RULES)

    assert done(1) == Relief(sleep=("stateful", "stateless"))
    assert done(2) == Relief(sleep=("stateful",), stop=("sleeper", "stateless"))
    assert done(3) == replace(done(2), refuse=frozenset({Priority.LOW}))
    assert done(99) == done(3)


def test_stopping_what_loses_its_state_has_to_be_asked_for() -> None:
    services = [candidate("stateful"), candidate("asleep", state=State.SLEEPING)]
    done = relief(Level.EMERGENCY, 1, services, LATE, with_actions(Action.STOP_IDLE))
    assert done == Relief(stop=("asleep", "stateful"))


@pytest.mark.parametrize(
    ("action", "priorities"),
    [
        (Action.REFUSE_LOW, {Priority.LOW}),
        (Action.REFUSE_NORMAL, {Priority.NORMAL, Priority.LOW}),
        (Action.REFUSE_HIGH, {Priority.HIGH, Priority.NORMAL, Priority.LOW}),
        (Action.SLEEP_IDLE, set[Priority]()),
    ],
)
def test_refusing_a_priority_refuses_the_less_protected_too(
    action: Action, priorities: set[Priority]
) -> None:
    assert refused([action], RULES) == priorities


def test_so_many_idle_services_sleep_that_the_others_fit() -> None:
    services = [
        candidate("high", Priority.HIGH),
        candidate("normal"),
        candidate("low", Priority.LOW),
        candidate("busy", Priority.LOW, held=1),
    ]
    held = {"high": 100, "normal": 100, "low": 50, "busy": 200}

    def chosen(limit: int) -> tuple[str, ...]:
        return to_fit(limit, held, services, LATE, RULES)

    assert chosen(450) == ()
    assert chosen(449) == ("low",)
    assert chosen(350) == ("low", "normal")
    assert chosen(0) == ("low", "normal", "high")


candidates = st.lists(
    st.builds(
        candidate,
        st.uuids().map(str),
        st.sampled_from(Priority),
        st.sampled_from(State),
        held=st.integers(0, 2),
        awake_since=st.floats(0, LATE),
        idle_since=st.floats(0, LATE),
        stateless=st.booleans(),
        sleep=st.sampled_from([None, Tier.WARM, Tier.FROZEN]),
    ),
    max_size=12,
)


@given(candidates, st.lists(st.sampled_from(Action), unique=True), st.permutations(list(Priority)))
def test_no_emergency_touches_what_is_held_or_stays_warm(
    services: list[Candidate], actions: list[Action], protection: list[Priority]
) -> None:
    rules = replace(RULES, emergency=EmergencyRules(tuple(actions), tuple(protection)))
    done = relief(Level.EMERGENCY, 99, services, LATE, rules)
    by_name = {one.spec.name: one for one in services}
    assert not set(done.sleep) & set(done.stop)
    assert Priority.CRITICAL not in done.refuse
    for name in (*done.sleep, *done.stop):
        touched = by_name[name]
        assert not touched.usage.held
        assert touched.state in (State.RUNNING, State.SLEEPING)
        assert touched.spec.sleep is not Tier.WARM
        assert touched.spec.priority is not Priority.CRITICAL or touched.spec.sleep is not None
    order = [protection.index(by_name[name].spec.priority) for name in done.sleep]
    assert order == sorted(order, reverse=True)
