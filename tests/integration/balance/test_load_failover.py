"""One of two heads is lost with 200 calls under way: what that costs, and what goes on as before."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.gateway_server import TOKEN
from tool_router.balance.assembly import build_balanced
from tool_router.config import Settings
from tool_router.evaluation.failover import Attempt, Call, Observed, judge
from tool_router.evaluation.failover_load import Course, freeze_one
from tool_router.gateway.assembly import Heads

pytestmark = [pytest.mark.anyio, pytest.mark.alone]
ROOT = Path(__file__).parents[3]

COURSE = Course(
    held=200,
    ramp_s=1.0,
    held_s=3.5,
    held_limit_s=4.5,
    per_s=40,
    # Long beside what a busy machine adds to a call, so that the ratio of two p95 tells of the heads.
    quick_s=0.2,
    limit_s=1.0,
    before_s=1.2,
    after_s=3.0,
)


@dataclass(frozen=True, slots=True)
class Head:
    """A gateway in a process of its own."""

    url: str
    process: subprocess.Popen[str]


@contextmanager
def head(file: Path) -> Generator[Head]:
    command = [sys.executable, "-m", "tests.integration.balance.counting_head", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield Head(process.stdout.readline().strip(), process)
        finally:
            process.kill()


def settings(one: Head, two: Head) -> Settings:
    return Settings.model_validate(
        {
            "gateway": {
                "url": one.url,
                "token": TOKEN,
                "sessions": 0,
                "target": {"name": "one"},
                "replicas": [{"url": two.url, "name": "two"}],
            },
            "balance": {"connections": 2 * COURSE.held, "health_s": 5},
        }
    )


async def lose_the_second(one: Head, two: Head, by: signal.Signals) -> Observed:
    configured, heads = settings(one, two), Heads()
    first, _ = heads.first(configured, {})
    gateway = build_balanced(configured, first, heads.at)
    async with gateway.open():
        tools = await gateway.list_tools()
        quick = [tool for tool in tools if tool.server == "quick"]
        held = [tool for tool in tools if tool.server == "held"]
        observed = await freeze_one(gateway, quick, held, "two", COURSE, lambda: two.process.send_signal(by))
        if by is signal.SIGSTOP:
            two.process.send_signal(signal.SIGCONT)
            # Before it answers this it takes up what it has received while it was frozen.
            assert (await gateway.targets.check(gateway.pool.get("two"))).ok
    return observed


@pytest.mark.parametrize("by", [signal.SIGSTOP, signal.SIGKILL], ids=["frozen", "killed"])
async def test_a_lost_head_costs_only_the_calls_it_had_and_slows_no_other(
    tmp_path: Path, by: signal.Signals
) -> None:
    file = tmp_path / "arrived"
    with head(file) as one, head(file) as two:
        observed = await lose_the_second(one, two, by)
    report = judge(observed, Counter(file.read_text(encoding="utf-8").split()))
    assert report.under_way >= COURSE.held
    assert report.out_after_s is not None
    assert report.lost > 0
    assert not report.failed_after
    assert not report.twice
    assert not report.unseen
    assert report.wrong == 0
    assert report.others.n > COURSE.per_s
    assert report.reached, f"p95 {report.others.p95_ms} ms, not {report.undisturbed.p95_ms} ms"


def test_the_report_tells_calls_that_were_lost_from_those_that_failed_later() -> None:
    def call(key: str, target: str, at: float, failure: str = "", *, may_repeat: bool = False) -> Call:
        return Call(key, may_repeat, True, at, at + 1, (Attempt(target, at),), failure)

    calls = (
        call("before", "one", 1),
        call("lost", "two", 9.5, "timeout"),
        call("at the other", "one", 9.5, "timeout"),
        call("after", "two", 12.5, "timeout"),
        call("never asked", "one", 13),
        call("read twice", "one", 14, may_repeat=True),
        call("written twice", "one", 15),
    )
    arrived = {"before": 1, "lost": 1, "after": 1, "read twice": 2, "written twice": 2}
    report = judge(Observed(calls, "two", 1, 10.0, 12.0), arrived)
    assert report.out_after_s == 2.0
    assert report.lost == 1
    assert report.failed_after == ("at the other: timeout", "after: timeout")
    assert report.twice == ("written twice",)
    assert report.unseen == ("never asked",)
    assert (report.undisturbed.n, report.others.n) == (1, 3)
    assert not report.reached
