"""When a tool is executed, and when it is asked about."""

from __future__ import annotations

import pytest

from tool_router.args.model import Draft, Invalid, Source, Value
from tool_router.catalog.model import Availability, Hints, Tool
from tool_router.effect import Effect
from tool_router.policy import (
    Ambiguous,
    Confirm,
    ConfirmScope,
    Execute,
    NeedArguments,
    NoMatch,
    Thresholds,
    choose,
    decide,
    rivals,
)
from tool_router.scoring.ranking import Candidate, Ranking

READS = Hints(read_only=True)
WRITES = Hints(read_only=False, destructive=False)
DESTROYS = Hints(read_only=False, destructive=True)
LINES = Thresholds(read=0.6, write=0.75, destructive=0.85, no_match=0.5)


def candidate(
    name: str, score: float, hints: Hints = READS, availability: Availability = Availability.AVAILABLE
) -> Candidate:
    return Candidate(Tool(name, name, hints=hints, availability=availability), score, score)


def ranking(confidence: float, *candidates: Candidate, none_fits: float = 0.0) -> Ranking:
    return Ranking(candidates, confidence=confidence, none_fits=none_fits)


@pytest.mark.parametrize(
    ("hints", "line"), [(READS, LINES.read), (WRITES, LINES.write), (DESTROYS, LINES.destructive)]
)
def test_the_line_to_reach_is_higher_the_more_a_tool_can_break(hints: Hints, line: float) -> None:
    first, second = candidate("a", 0.9, hints), candidate("b", 0.5)

    assert choose(ranking(line, first, second), LINES) is first
    assert choose(ranking(line - 0.01, first, second), LINES) == Ambiguous((first, second))


def test_nothing_matches_once_it_is_likely_enough_that_no_tool_fits() -> None:
    first = candidate("a", 0.9)
    assert choose(ranking(0.4, first, none_fits=0.5), LINES) == NoMatch((first,))
    assert choose(ranking(0.4, first, none_fits=0.49), LINES) == Ambiguous((first,))


def test_an_empty_catalog_matches_nothing() -> None:
    assert choose(ranking(0.0), LINES) == NoMatch()


def test_a_better_tool_that_cannot_be_called_is_named_and_never_replaced_by_a_worse_one() -> None:
    gone = candidate("gone", 0.9, availability=Availability.NEEDS)
    worse = candidate("worse", 0.6)

    assert choose(ranking(0.9, gone, worse), LINES) == NoMatch((worse,), unavailable=gone.tool)


def test_an_equally_good_tool_stands_in_for_one_that_cannot_be_called() -> None:
    gone = candidate("gone", 0.9, availability=Availability.UNREACHABLE)
    twin = candidate("twin", 0.89)

    assert choose(ranking(0.9, gone, twin), LINES) is twin


TOOL = candidate("t", 1.0).tool
FROM_TASK = Draft({"path": Value("/tmp/x", Source.TASK, "/tmp/x")})
FROM_CALLER = Draft({"path": Value("/tmp/x", Source.CALLER)})


@pytest.mark.parametrize(
    "draft",
    [
        Draft(missing=("path",)),
        Draft({"n": Value("x", Source.TASK)}, invalid=(Invalid("/n", "is not a number"),)),
        Draft({"n": Value(1, Source.TASK)}, doubts=("two numbers fit n",)),
    ],
)
def test_arguments_that_are_missing_invalid_or_doubtful_are_asked_for(draft: Draft) -> None:
    assert decide(TOOL, draft, Effect.READ, ConfirmScope.NEVER, named=False) == NeedArguments(TOOL, draft)


@pytest.mark.parametrize(
    ("scope", "confirmed"),
    [
        (ConfirmScope.DESTRUCTIVE, {Effect.DESTRUCTIVE}),
        (ConfirmScope.WRITES, {Effect.DESTRUCTIVE, Effect.WRITE}),
        (ConfirmScope.NEVER, set[Effect]()),
    ],
)
def test_configuration_says_which_effects_a_person_confirms(
    scope: ConfirmScope, confirmed: set[Effect]
) -> None:
    asked = {e for e in Effect if isinstance(decide(TOOL, FROM_TASK, e, scope, named=False), Confirm)}
    assert asked == confirmed


def test_a_call_that_names_tool_and_arguments_was_shown_by_the_client_and_runs() -> None:
    decision = decide(TOOL, FROM_CALLER, Effect.DESTRUCTIVE, ConfirmScope.DESTRUCTIVE, named=True)
    assert decision == Execute(TOOL, FROM_CALLER)


def test_a_named_destructive_call_is_confirmed_when_a_value_was_read_from_the_task() -> None:
    mixed = Draft({**FROM_CALLER.values, "mode": Value("all", Source.TASK, "all")})
    decision = decide(TOOL, mixed, Effect.DESTRUCTIVE, ConfirmScope.DESTRUCTIVE, named=True)
    assert decision == Confirm(TOOL, mixed, Effect.DESTRUCTIVE)


def test_a_destructive_tool_never_runs_from_a_task_text_alone() -> None:
    decision = decide(TOOL, FROM_CALLER, Effect.DESTRUCTIVE, ConfirmScope.DESTRUCTIVE, named=False)
    assert isinstance(decision, Confirm)


def test_only_near_and_available_candidates_are_rivals_of_the_picked_one() -> None:
    first, near, far = candidate("a", 0.9), candidate("b", 0.6), candidate("c", 0.5)
    gone = candidate("d", 0.8, availability=Availability.NEEDS)
    assert rivals(ranking(0.9, first, gone, near, far), first) == (near,)
