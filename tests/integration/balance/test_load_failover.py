"""One of two heads is really frozen, with 200 calls under way: what is lost, and what goes on as before."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from tests.support.gateway_server import TOKEN
from tool_router.balance.assembly import build_balanced
from tool_router.config import Settings
from tool_router.evaluation.failover import FailoverReport, Load, Watch, judge
from tool_router.gateway import json_http
from tool_router.gateway.assembly import build_gateway

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]

HELD = 200
HELD_S = 3.5
QUICK_S = 0.2
"""Long beside what a busy machine adds to a call, so that the ratio of two p95 tells of the heads."""
PER_S = 40
BEFORE_S = 1.0
AFTER_S = 2.0
LIMIT_S = 1.0


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
            "balance": {"connections": 2 * HELD, "health_s": 5},
        }
    )


async def freeze_one_of_two(one: Head, two: Head, file: Path) -> FailoverReport:
    configured = settings(one, two)
    first, _ = build_gateway(configured, {})
    gateway = build_balanced(configured, first)
    async with gateway.open():
        tools = await gateway.list_tools()
        quick = [tool for tool in tools if tool.server == "quick"]
        held = [tool for tool in tools if tool.server == "held"]
        load, watch = Load(gateway), Watch(gateway, "two", quick)
        async with anyio.create_task_group() as tasks:
            await load.stream(
                held,
                HELD,
                1.0,
                name="held",
                hold_s=HELD_S,
                limit_s=HELD_S + 1,
                tasks=tasks,
                measured=False,
            )

            async def quick_for(seconds: float, name: str) -> None:
                await load.stream(
                    quick,
                    int(seconds * PER_S),
                    seconds,
                    name=name,
                    hold_s=QUICK_S,
                    limit_s=LIMIT_S,
                    tasks=tasks,
                )

            await quick_for(BEFORE_S, "before")
            under_way, frozen_at = load.under_way, anyio.current_time()
            two.process.send_signal(signal.SIGSTOP)
            tasks.start_soon(quick_for, AFTER_S, "after")
            out_at = await watch.wait(10)
            await quick_for(AFTER_S, "later")
        two.process.send_signal(signal.SIGCONT)
        # What it had received while it was frozen it does now, before it answers.
        assert (await first.check()).ok
        assert (await gateway.targets.check(gateway.pool.get("two"))).ok
    arrived = Counter(file.read_text(encoding="utf-8").split())
    return judge(load.calls, arrived, target="two", under_way=under_way, frozen_at=frozen_at, out_at=out_at)


async def test_a_frozen_head_costs_only_the_calls_it_had_and_slows_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_http, "MAX_CONNECTIONS", 2 * HELD)
    file = tmp_path / "arrived"
    with head(file) as one, head(file) as two:
        report = await freeze_one_of_two(one, two, file)
    print(report)
    assert report.under_way >= HELD
    assert report.lost > 0
    assert not report.failed_after
    assert not report.twice
    assert not report.unseen
    assert report.wrong == 0
    assert report.others.n > PER_S
    assert report.reached, f"p95 {report.others.p95_ms} ms, not {report.undisturbed.p95_ms} ms"
