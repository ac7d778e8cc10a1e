"""What freezing one of two real ContextForge gateways in the middle of a load costs the calls of all."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import anyio

from scripts.benchmarks.counting_server import COUNTS_PATH
from scripts.benchmarks.replicas import Replica, counting_server, registered, two_replicas
from scripts.contextforge_try.steps import LabError, say
from tool_router.balance.assembly import build_balanced
from tool_router.config import Settings
from tool_router.errors import ToolRouterError
from tool_router.evaluation.failover import MOST_RATIO, FailoverReport, judge
from tool_router.evaluation.failover_load import Course, freeze_one
from tool_router.gateway.assembly import Heads
from tool_router.telemetry.log import configure

QUICK, HELD = "bench-quick", "bench-held"
"""The counting servers, as the gateways call them: one answers at once, the other holds its calls."""

HEALTH_S = 5.0
PAUSE_S = 15.0
"""How long it is waited for what the frozen gateway still does with what it had received."""


@dataclass(frozen=True, slots=True)
class Lab:
    """What is measured: two gateways with the same two servers.

    Attributes:
        one, two: the gateways; the second is frozen.
        token: both take it.
        servers: the addresses of the counting servers.
    """

    one: Replica
    two: Replica
    token: str
    servers: tuple[str, str]


async def measure(lab: Lab, course: Course) -> FailoverReport:
    """Make the load, freeze the second gateway in the middle of it, let it go on, and count.

    Raises:
        ToolRouterError: the gateways could not be read.
    """
    configured, heads = settings(lab, course), Heads()
    first, _ = heads.first(configured, {})
    gateway = build_balanced(configured, first, heads.at)
    async with gateway.open():
        tools = await gateway.list_tools()
        quick = [tool for tool in tools if tool.server == QUICK]
        # What is held is not to be called twice, whoever loses it.
        held = [tool for tool in tools if tool.server == HELD and not tool.hints.read_only]
        say(f"{course.held} calls held, {course.per_s:g} quick ones a second ...")
        try:
            observed = await freeze_one(gateway, quick, held, "two", course, lab.two.freeze)
        finally:
            lab.two.go_on()
    say(f"Waiting {PAUSE_S:.0f} s for what the frozen gateway still does ...")
    await anyio.sleep(PAUSE_S)
    return judge(observed, arrived(lab.servers))


def settings(lab: Lab, course: Course) -> Settings:
    """A router with both gateways; one alone has room for every call."""
    return Settings.model_validate(
        {
            "gateway": {
                "kind": "contextforge",
                "url": lab.one.url,
                "token": lab.token,
                "target": {"name": "one"},
                "replicas": [{"url": lab.two.url, "name": "two"}],
            },
            "balance": {"connections": 2 * course.held, "health_s": HEALTH_S},
        }
    )


def arrived(servers: tuple[str, ...]) -> Counter[str]:
    """How often each call arrived at the counting servers."""
    counts: Counter[str] = Counter()
    for server in servers:
        with urllib.request.urlopen(server + COUNTS_PATH, timeout=30) as answer:
            counts.update(json.load(answer))
    return counts


def report(found: FailoverReport, course: Course) -> str:
    """The facts as people read them."""
    before, others = found.undisturbed, found.others
    return "\n".join(
        [
            f"{found.calls} calls through two ContextForge gateways, one of them frozen with "
            f"{found.under_way} under way",
            f"  out of use {_after(found)}, with calls limited to {course.limit_s:g} s",
            f"  lost with the frozen gateway {found.lost}; failed after that {len(found.failed_after)}; "
            f"wrong answers {found.wrong}",
            f"  called twice though not idempotent {len(found.twice)}; answered but never called "
            f"{len(found.unseen)}",
            *(f"    {failure}" for failure in found.failed_after[:5]),
            f"  quick calls before        n {before.n:4}  p50 {before.p50_ms:7.1f} ms  "
            f"p95 {before.p95_ms:7.1f} ms",
            f"  the others from then on   n {others.n:4}  p50 {others.p50_ms:7.1f} ms  "
            f"p95 {others.p95_ms:7.1f} ms",
            f"  p95 with over p95 without {found.ratio:.2f} (at most {MOST_RATIO:g})",
            f"  no later failure, nothing called twice, p95 kept: {'reached' if found.reached else 'missed'}",
        ]
    )


def _after(found: FailoverReport) -> str:
    return "never" if found.out_after_s is None else f"after {found.out_after_s:.1f} s"


@contextmanager
def lab_of(options: argparse.Namespace) -> Generator[Lab]:
    """The gateways that the command line names, or two that are started for the time of the block.

    Raises:
        LabError: a step failed.
    """
    with counting_server() as quick, counting_server() as held:
        servers = {QUICK: f"{quick}/mcp", HELD: f"{held}/mcp"}
        if options.url:
            one, two = options.url
            with registered(one, options.token, servers), registered(two, options.token, servers):
                yield Lab(Replica(one, 0), Replica(two, options.pid), options.token, (quick, held))
            return
        home = options.home or Path(tempfile.mkdtemp(prefix="bench_failover-"))
        with two_replicas(home.expanduser().resolve(), options.python, servers) as ((one, two), token):
            yield Lab(one, two, token, (quick, held))


def main() -> int:
    """Measure, print, and exit: 0 when all of it is reached, 1 when not, 2 when nothing was measured."""
    parser = argparse.ArgumentParser(prog="scripts/bench_failover", description=__doc__)
    parser.add_argument("--home", type=Path, help="where the gateways are installed; used again if it exists")
    parser.add_argument(
        "--python", default=sys.executable, help="the interpreter for the gateways (default: this one)"
    )
    parser.add_argument("--url", action="append", default=[], help="a gateway that runs already; give two")
    parser.add_argument("--token", default="", help="what both of them take")
    parser.add_argument("--pid", type=int, default=0, help="the process of the second, which is frozen")
    parser.add_argument("--held", type=int, default=200, help="calls that are held while one is frozen")
    parser.add_argument("--ramp", type=float, default=50.0, help="seconds in which they begin")
    parser.add_argument(
        "--rate", type=float, default=4.0, help="quick calls a second; one gateway must bear them"
    )
    parser.add_argument("--limit", type=float, default=5.0, help="seconds a quick call may take")
    parser.add_argument("--before", type=float, default=20.0, help="seconds measured before the freeze")
    parser.add_argument(
        "--after", type=float, default=40.0, help="seconds measured from then on; 20 pass until checks tell"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.url and (len(options.url) != 2 or not options.token or not options.pid):
        parser.error("--url is given twice, with --token and the --pid of the second")
    configure("error", "auto")
    course = Course(
        held=options.held,
        ramp_s=options.ramp,
        held_s=options.ramp + options.before + 10,
        held_limit_s=options.ramp + options.before + 20,
        per_s=options.rate,
        quick_s=0.0,
        limit_s=options.limit,
        before_s=options.before,
        after_s=options.after,
    )
    try:
        with lab_of(options) as lab:
            found = anyio.run(measure, lab, course)
    except* LabError as group:
        _not_measured(group)
    except* ToolRouterError as group:
        _not_measured(group)
    facts: dict[str, Any] = found.to_json()
    print(json.dumps(facts, indent=2) if options.json else report(found, course))
    return 0 if found.reached else 1


def _not_measured(group: BaseExceptionGroup[Any]) -> NoReturn:
    """End with what is inside the groups that task groups made of an error."""
    inner = group.exceptions[0]
    if isinstance(inner, BaseExceptionGroup):
        _not_measured(cast("BaseExceptionGroup[Any]", inner))
    print(f"bench_failover: {inner}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    sys.exit(main())
