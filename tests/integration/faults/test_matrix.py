"""Every kind of gateway against every toxic at every place, in both directions.

A case asks five things: the caller is let go at its deadline; the error is of the right class and does not
say that the tool was not reached when it was; the right answer comes where the fault is harmless; the next
call over the same gateway works; nothing is left behind, no task and no file descriptor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.integration.faults.far_side import FarSide
from tests.integration.faults.matrix import (
    ENDPOINT,
    KINDS,
    LATE_S,
    MCP,
    Case,
    Outcome,
    is_right,
    play,
)
from tests.support.toxics import (
    Bandwidth,
    Blackhole,
    Direction,
    Jitter,
    Latency,
    LimitData,
    Place,
    Reset,
    Slicer,
    SlowClose,
    Toxic,
    ToxicProxy,
)
from tool_router.errors import GatewayError, GatewayFailed, GatewayTimeout, GatewayUnreachable

pytestmark = pytest.mark.anyio

Recipe = Callable[[Place, Direction], tuple[Toxic, ...]]
"""Makes the toxics of a case from its place and direction."""

HARMLESS: dict[str, Recipe] = {
    "latency": lambda place, way: (Latency(delay_s=0.05, place=place, direction=way),),
    "jitter": lambda place, way: (Jitter(most_s=0.02, seed=7, place=place, direction=way),),
    "bandwidth": lambda place, way: (Bandwidth(bytes_per_s=1e6, place=place, direction=way),),
    "slicer": lambda place, way: (Slicer(size=500, place=place, direction=way),),
    "slow close": lambda place, way: (SlowClose(delay_s=0.05, place=place, direction=way),),
}
BREAKING: dict[str, Recipe] = {
    "reset": lambda place, way: (Reset(place=place, direction=way),),
    "limit data": lambda place, way: (LimitData(count=100, place=place, direction=way),),
    "limit data, slow close": lambda place, way: (
        SlowClose(delay_s=0.05, place=place, direction=way),
        LimitData(count=100, place=place, direction=way),
    ),
}
HANGING: dict[str, Recipe] = {
    "latency": lambda place, way: (Latency(delay_s=30, place=place, direction=way),),
    "bandwidth": lambda place, way: (Bandwidth(bytes_per_s=2000, place=place, direction=way),),
    "blackhole": lambda place, way: (Blackhole(place=place, direction=way),),
    "limit data, slow close": lambda place, way: (
        SlowClose(delay_s=30, place=place, direction=way),
        LimitData(count=100, place=place, direction=way),
    ),
}
SILENT = {name: HANGING[name] for name in ("latency", "blackhole", "limit data, slow close")}
"""A trickle is no silence, which is what the gateways' own limits are about."""

AT_ONCE = 8
"""More would measure the machine: two cores carry the servers and the proxies too."""

WAITING_AT_ONCE = 16
"""Of cases that mostly wait."""

DEADLINE_S = 0.25
LOOKS = 300


def places(recipe: Recipe) -> Iterator[tuple[Toxic, ...]]:
    for direction in Direction:
        for place in Place:
            yield recipe(place, direction)


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def judge(
    cases: Iterable[Case],
    far: FarSide,
    verdict: Callable[[Case, Outcome], Iterable[str]],
    at_once: int = AT_ONCE,
) -> None:
    """Play the cases, a few at once, and fail with everything that was wrong with any."""
    far.forget()
    wrong: list[str] = []
    tasks_before, descriptors_before = len(anyio.get_running_tasks()), descriptors()
    free = anyio.Semaphore(at_once)

    async def one(case: Case, proxy: ToxicProxy) -> None:
        async with free:
            outcome = await play(case, far, proxy)
        wrong.extend(
            f"{case}: {complaint}" for complaint in (*always(case, outcome), *verdict(case, outcome))
        )

    with ExitStack() as proxies:
        async with anyio.create_task_group() as tasks:
            for case in cases:
                tasks.start_soon(one, case, proxies.enter_context(far.proxy()))
    # Closed sockets of the far side are noticed by its own loop: nothing else tells of them.
    for _ in range(LOOKS):
        if descriptors() <= descriptors_before:
            break
        await anyio.sleep(0.01)
    if (left := len(anyio.get_running_tasks()) - tasks_before) > 0:
        wrong.append(f"{left} tasks were left: {[task.name for task in anyio.get_running_tasks()]}")
    if (left := descriptors() - descriptors_before) > 0:
        wrong.append(f"{left} file descriptors were left")
    assert not wrong, "\n".join(wrong)


def always(case: Case, outcome: Outcome) -> Iterator[str]:
    """What must hold whatever the fault."""
    if outcome.after is not None:
        yield f"the next call met {outcome.after!r}"
    for result, arrived, late_s in zip(outcome.results, outcome.arrived, outcome.late_s, strict=True):
        if isinstance(result, GatewayError):
            if not result.reached_tool and arrived:
                yield f"{result!r} says that a call which arrived did not"
            if not (result.tried and result.next_step):
                yield f"{result!r} does not say what to do"
        if arrived > 1:
            yield f"a call arrived {arrived} times"
        if case.deadline_s is not None and late_s > LATE_S:
            yield f"the caller was held {late_s:.2f} s after its deadline"


def answers(case: Case, outcome: Outcome) -> Iterator[str]:
    for text, result in zip(outcome.texts, outcome.results, strict=True):
        if not is_right(case, result, text):
            yield f"the call gave {result!r:.300}"


def breaks(case: Case, outcome: Outcome) -> Iterator[str]:
    # An RST that comes before the connection is used is like a refusal.
    refused = case.toxics[0].place is Place.CONNECT and isinstance(case.toxics[0], Reset)
    fitting = (GatewayFailed, GatewayUnreachable) if refused else (GatewayFailed,)
    for result in outcome.results:
        if not isinstance(result, fitting):
            yield f"the call gave {result!r:.300}"


def hangs(case: Case, outcome: Outcome) -> Iterator[str]:
    for result in outcome.results:
        if result is not None:
            yield f"the call gave {result!r:.300} and not its deadline"


def times_out(case: Case, outcome: Outcome) -> Iterator[str]:
    # Where connecting itself hangs nothing was sent; opening an MCP connection has one limit for all of it.
    unreachable = case.toxics[0].place is Place.CONNECT and isinstance(case.toxics[0], Blackhole)
    fitting = (GatewayTimeout, GatewayUnreachable) if unreachable else (GatewayTimeout,)
    for result in outcome.results:
        if not isinstance(result, fitting):
            yield f"the call gave {result!r:.300}"
        elif unreachable and result.reached_tool:
            yield f"{result!r} says that the tool may have run"


def by_name(recipes: dict[str, Recipe]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recipe", recipes.values(), ids=recipes.keys())


def cases(kind: str, recipe: Recipe, **fields: Any) -> list[Case]:
    return [Case(kind, toxics, **fields) for toxics in places(recipe)]


@by_name(HARMLESS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_harmless_fault_changes_no_answer(kind: str, recipe: Recipe, far: FarSide) -> None:
    await judge(cases(kind, recipe, calls=1), far, answers)


@by_name(BREAKING)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_broken_line_is_a_failure_of_the_gateway(kind: str, recipe: Recipe, far: FarSide) -> None:
    await judge(cases(kind, recipe), far, breaks)


@pytest.mark.alone
@pytest.mark.parametrize("kind", KINDS)
async def test_a_hanging_line_holds_nobody_beyond_the_deadline(kind: str, far: FarSide) -> None:
    played = [case for recipe in HANGING.values() for case in cases(kind, recipe, deadline_s=DEADLINE_S)]
    await judge(played, far, hangs, WAITING_AT_ONCE)


@by_name(SILENT)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_silent_line_is_a_timeout_at_the_gateways_own_limit(
    kind: str, recipe: Recipe, far: FarSide
) -> None:
    await judge(cases(kind, recipe, own_limits=True), far, times_out, WAITING_AT_ONCE)


@by_name(BREAKING)
@pytest.mark.parametrize("kind", [MCP, ENDPOINT])
async def test_a_line_that_breaks_while_a_connection_is_opened_is_a_failure(
    kind: str, recipe: Recipe, far: FarSide
) -> None:
    await judge(cases(kind, recipe, warm=False), far, breaks)


@pytest.mark.alone
@pytest.mark.parametrize("kind", [MCP, ENDPOINT])
async def test_a_line_that_hangs_while_a_connection_is_opened_does_not_stop_later_calls(
    kind: str, far: FarSide
) -> None:
    fields: dict[str, Any] = {"warm": False, "deadline_s": DEADLINE_S}
    played = [case for recipe in HANGING.values() for case in cases(kind, recipe, **fields)]
    await judge(played, far, hangs, WAITING_AT_ONCE)


ON_TRIO: list[tuple[Recipe, dict[str, Any], Callable[[Case, Outcome], Iterable[str]]]] = [
    (HARMLESS["slicer"], {"calls": 1}, answers),
    (BREAKING["reset"], {}, breaks),
    (BREAKING["limit data"], {"warm": False}, breaks),
    (HANGING["blackhole"], {"deadline_s": DEADLINE_S, "calls": 1}, hangs),
]


@pytest.mark.alone
@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_the_same_on_trio(kind: str, far: FarSide) -> None:
    for recipe, fields, verdict in ON_TRIO:
        # A few places are enough to see that nothing depends on the backend.
        await judge(cases(kind, recipe, **fields)[2:6], far, verdict)
