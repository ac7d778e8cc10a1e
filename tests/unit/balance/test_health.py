"""Active health checks, to the second: time jumps when nothing else happens."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from tool_router.balance.health import (
    CHECK_LIMIT_S,
    HealthChecker,
    HealthRecord,
    HealthReport,
    HealthSettings,
)
from tool_router.errors import GatewayBusy, GatewayUnreachable
from tool_router.gateway.protocol import Health

pytestmark = pytest.mark.anyio

EVEN = HealthSettings(interval_s=10.0, jitter=0.0)
WELL, ILL = Health(True, "It answers."), Health(False, "It says that it is ill.")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Scripted:
    """A target that answers its checks one after another; the last answer for ever."""

    def __init__(self, *answers: Health | Exception | None, takes_s: float = 0.0) -> None:
        self._answers = list(answers)
        self._takes_s = takes_s
        self.began: list[float] = []
        self.at_once = 0
        self.most_at_once = 0
        self.cancelled = 0

    async def __call__(self) -> Health | None:
        self.began.append(anyio.current_time())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await anyio.sleep(self._takes_s)
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def pauses(self) -> list[float]:
        return [round(after - before, 6) for before, after in pairwise(self.began)]


class Told:
    """The reports, with the seconds after the beginning at which they came."""

    def __init__(self) -> None:
        self.reports: list[tuple[float, HealthReport]] = []
        self._began = anyio.current_time()

    def __call__(self, report: HealthReport) -> None:
        self.reports.append((round(anyio.current_time() - self._began, 6), report))


@asynccontextmanager
async def checking(
    settings: HealthSettings = EVEN, draw: float = 0.5, /, **targets: Scripted
) -> AsyncGenerator[tuple[HealthChecker, Told]]:
    told = Told()
    checker = HealthChecker(settings, told, draw=lambda: draw)
    for name, target in targets.items():
        checker.add(name, target)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(checker.run)
        yield checker, told
        tasks.cancel_scope.cancel()


async def test_a_target_that_is_well_is_never_talked_about() -> None:
    async with checking(a=Scripted(WELL)) as (checker, told):
        await anyio.sleep(600)
        assert checker.healthy() == {"a": True}
    assert told.reports == []


async def test_the_third_failure_in_a_row_makes_it_fail_and_the_second_success_ends_that() -> None:
    target = Scripted(ILL, ILL, WELL, ILL, ILL, ILL, ILL, WELL, ILL, WELL, WELL)
    async with checking(a=target) as (_, told):
        await anyio.sleep(200)
    assert told.reports == [
        (50, HealthReport("a", healthy=False, reason="It says that it is ill.")),
        (100, HealthReport("a", healthy=True)),
    ]


@pytest.mark.parametrize(
    ("draw", "interval_s"), [(0.0, 13.5), (0.5, 15.0), (1.0, 16.5)], ids=["early", "even", "late"]
)
async def test_checks_come_at_their_interval_give_or_take_a_tenth(draw: float, interval_s: float) -> None:
    target = Scripted(WELL, takes_s=2.0)
    async with checking(HealthSettings(), draw, a=target):
        await anyio.sleep(100)
    assert set(target.pauses) == {interval_s}


async def test_the_first_check_comes_at_once() -> None:
    target = Scripted(WELL)
    async with checking(a=target):
        began = anyio.current_time()
        await anyio.sleep(1)
    assert target.began == [began]


async def test_a_check_that_hangs_is_given_up_and_is_a_failure() -> None:
    target = Scripted(WELL, takes_s=math.inf)
    async with checking(a=target) as (_, told):
        await anyio.sleep(26)
    assert told.reports == [(25, HealthReport("a", healthy=False, reason="It did not answer within 5 s."))]
    assert target.most_at_once == 1
    assert target.cancelled == 3


async def test_a_check_that_overruns_a_short_interval_is_not_overtaken() -> None:
    target = Scripted(WELL, takes_s=math.inf)
    async with checking(HealthSettings(interval_s=5.0, jitter=0.5), 0.0, a=target):
        await anyio.sleep(100)
    assert target.most_at_once == 1
    assert set(target.pauses) == {5.0}


async def test_targets_are_checked_at_the_same_time() -> None:
    targets = {f"t{number}": Scripted(WELL, takes_s=4.0) for number in range(50)}
    async with checking(EVEN, 0.5, **targets):
        await anyio.sleep(95)
    assert {len(target.began) for target in targets.values()} == {10}


async def test_one_that_hangs_delays_no_other() -> None:
    hanging, well = Scripted(WELL, takes_s=math.inf), Scripted(WELL)
    async with checking(hanging=hanging, well=well):
        await anyio.sleep(95)
    assert set(well.pauses) == {10.0}


async def test_an_error_of_the_tree_is_a_failure_with_its_words() -> None:
    async with checking(a=Scripted(GatewayUnreachable("It could not connect."))) as (_, told):
        await anyio.sleep(21)
    assert told.reports == [(20, HealthReport("a", healthy=False, reason="It could not connect."))]


async def test_a_target_that_asks_for_a_pause_is_left_alone_for_all_of_it_and_does_not_fail() -> None:
    target = Scripted(ILL, ILL, GatewayBusy(900.0, "429."), ILL, WELL)
    async with checking(a=target) as (_, told):
        await anyio.sleep(2000)
    assert target.pauses[:4] == [10, 10, 900, 10]
    assert [(at, report.healthy) for at, report in told.reports] == [(920, False), (940, True)]


async def test_a_check_that_says_nothing_changes_nothing() -> None:
    async with checking(a=Scripted(ILL, ILL, None, None, ILL, WELL)) as (_, told):
        await anyio.sleep(41)
    assert [at for at, _ in told.reports] == [40]


async def test_a_target_whose_calls_succeed_is_not_asked() -> None:
    target = Scripted(ILL)
    async with checking(a=target) as (checker, told):
        for _ in range(100):
            await anyio.sleep(7)
            checker.heard("a")
        assert len(target.began) == 1
        await anyio.sleep(60)
    assert len(target.began) > 5
    assert [report.healthy for _, report in told.reports] == [False]


async def test_calls_that_succeed_bring_a_failing_target_back() -> None:
    async with checking(a=Scripted(ILL)) as (checker, told):
        await anyio.sleep(21)
        for _ in range(3):
            checker.heard("a")
            await anyio.sleep(10)
        assert checker.healthy() == {"a": True}
    assert [(at, report.healthy) for at, report in told.reports] == [(20, False), (40, True)]


async def test_a_target_that_a_breaker_found_failing_needs_its_full_run_of_good_checks() -> None:
    async with checking(a=Scripted(WELL)) as (checker, told):
        await anyio.sleep(15)
        checker.heard("a")
        checker.assume("a", healthy=False)
        checker.assume("nobody", healthy=False)
        await anyio.sleep(60)
    assert told.reports == [(30, HealthReport("a", healthy=True))]


async def test_calls_from_before_a_breaker_opened_speak_for_nobody() -> None:
    settings = HealthSettings(interval_s=10.0, jitter=0.0, rise=1)
    async with checking(settings, 0.5, a=Scripted(ILL)) as (checker, told):
        await anyio.sleep(5)
        checker.heard("a")
        checker.assume("a", healthy=False)
        await anyio.sleep(60)
    assert told.reports == []


@pytest.mark.parametrize(("answer", "checks"), [(ILL, [0, 12, 12, 12, 22]), (WELL, [0, 12, 22])])
async def test_a_target_that_is_hurried_is_checked_at_once_until_it_is_clear_what_it_is(
    answer: Health, checks: list[float]
) -> None:
    target, told = Scripted(WELL, answer), Told()
    checker = HealthChecker(EVEN, told)
    checker.add("a", target)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(checker.run)
        # Between the second check, which an answered call makes unneeded, and the third.
        await anyio.sleep(5)
        checker.heard("a")
        await anyio.sleep(7)
        checker.hurry("a")
        await anyio.sleep(11)
        tasks.cancel_scope.cancel()
    assert [round(at - began, 3) for at in target.began] == checks
    assert checker.healthy() == {"a": answer.ok}
    checker.hurry("unknown")


async def test_a_target_that_a_breaker_found_working_fails_anew() -> None:
    async with checking(a=Scripted(ILL)) as (checker, told):
        await anyio.sleep(21)
        checker.assume("a", healthy=True)
        await anyio.sleep(30)
    assert [(at, report.healthy) for at, report in told.reports] == [(20, False), (50, False)]


async def test_targets_come_and_go_while_it_runs() -> None:
    late, gone = Scripted(WELL), Scripted(WELL, takes_s=3.0)
    async with checking(gone=gone) as (checker, told):
        await anyio.sleep(11)
        checker.add("late", late)
        checker.remove("gone")
        checker.remove("gone")
        checker.heard("gone")
        await anyio.sleep(99)
        assert checker.healthy() == {"late": True}
    assert len(gone.began) == 2
    assert gone.cancelled == 1
    assert len(late.began) == 10
    assert told.reports == []


async def test_a_target_that_is_added_again_starts_anew() -> None:
    async with checking(a=Scripted(ILL)) as (checker, told):
        await anyio.sleep(30)
        checker.add("a", Scripted(WELL))
        await anyio.sleep(30)
        assert checker.healthy() == {"a": True}
    assert [report.healthy for _, report in told.reports] == [False]


async def test_a_change_is_logged_once() -> None:
    with capture_logs() as logs:
        async with checking(a=Scripted(ILL)):
            await anyio.sleep(3600)
    assert [entry["event"] for entry in logs] == ["target_health_changed"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit_s": CHECK_LIMIT_S + 1},
        {"limit_s": 0},
        {"interval_s": 4.0},
        {"interval_s": math.inf},
        {"jitter": 1.0},
        {"jitter": -0.1},
        {"fall": 0},
        {"rise": 0},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"check|jitter"):
        HealthSettings(**wrong)


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 4), st.integers(1, 4))
def test_a_state_changes_only_with_its_full_run_of_checks(checks: list[bool], fall: int, rise: int) -> None:
    record = HealthRecord(fall, rise)
    state, said = True, list[bool]()
    for good in checks:
        changed = record.note(good=good)
        said.append(good)
        needed = fall if state else rise
        tail = said[-needed:]
        expected = len(tail) == needed and all(one is not state for one in tail)
        assert changed is expected
        if changed:
            state, said = not state, []
        assert record.healthy is state
