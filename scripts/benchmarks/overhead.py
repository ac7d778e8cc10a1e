"""What execute_task adds to calling the same tool directly through the same loopback gateway."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from scripts.benchmarks.loopback_gateway import ANSWER, ARGUMENTS, TASK, TOOL
from tool_router.install.launch import own_command

TARGET_MS = 10.0
ROUTER_YML = """\
relevance: {enabled: false}
policy: {read: 0, no_match: 1}
log: {level: error}
"""
"""Executes whatever comes first: this measures time, not how sure a ranking is."""

META_KEY = "tool-router/decision"
WARM_UP = 10

Call = Callable[[], Awaitable[CallToolResult]]


class NotMeasured(Exception):
    """A call did not do what was to be measured."""


async def measure(times: int, tools: int) -> dict[str, Any]:
    """Call the tool directly, by task and by name, in turns; the facts it prints.

    Raises:
        NotMeasured: a call was not answered by the tool.
    """
    with tempfile.TemporaryDirectory() as folder, gateway(tools) as url:
        server = StdioServerParameters(
            command=own_command()[0], args=list(own_command()[1:]), env=_environ(Path(folder), url)
        )
        async with Client(url) as direct, Client(server) as router:
            name = await _known_name(router)
            calls: dict[str, Call] = {
                "direct": lambda: direct.call_tool(TOOL, ARGUMENTS),
                "by_task": lambda: router.call_tool("execute_task", {"task": TASK}),
                "by_name": lambda: router.call_tool(
                    "execute_task", {"task": TASK, "tool": name, "arguments": ARGUMENTS}
                ),
            }
            for _ in range(WARM_UP):
                for call in calls.values():
                    _check(await call())
            took, steps = await _take_turns(calls, times)
    return _facts(took, steps, times, tools)


async def _take_turns(
    calls: Mapping[str, Call], times: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Milliseconds of each call, and of the router's own steps as its answers to `by_task` tell them."""
    took: dict[str, list[float]] = defaultdict(list)
    steps: dict[str, list[float]] = defaultdict(list)
    names = list(calls)
    for number in range(times):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            started = time.perf_counter()
            result = await calls[name]()
            took[name].append((time.perf_counter() - started) * 1000)
            _check(result)
            if name == "by_task":
                for step, ms in (result.meta or {}).get(META_KEY, {}).get("ms", {}).items():
                    steps[step].append(ms)
    return took, steps


def _facts(
    took: Mapping[str, list[float]], steps: Mapping[str, list[float]], times: int, tools: int
) -> dict[str, Any]:
    medians = {name: statistics.median(values) for name, values in took.items()}
    overhead = {name: medians[name] - medians["direct"] for name in ("by_task", "by_name")}
    return {
        "runs": times,
        "tools": tools,
        "p50_ms": {name: round(value, 2) for name, value in medians.items()},
        "p95_ms": {name: round(_p95(values), 2) for name, values in took.items()},
        "overhead_p50_ms": {name: round(value, 2) for name, value in overhead.items()},
        "steps_p50_ms": {name: round(statistics.median(values), 2) for name, values in steps.items()},
        "target_ms": TARGET_MS,
        "reached": max(overhead.values()) <= TARGET_MS,
    }


def report(facts: Mapping[str, Any]) -> str:
    """The facts as people read them."""
    lines = [f"{facts['runs']} calls each through a loopback gateway with {facts['tools']} tools"]
    labels = {"direct": "the tool itself", "by_task": "execute_task(task)", "by_name": "execute_task(tool)"}
    for name, label in labels.items():
        lines.append(
            f"  {label:20} p50 {facts['p50_ms'][name]:7.2f} ms   p95 {facts['p95_ms'][name]:7.2f} ms"
        )
    lines.extend(
        f"  overhead of {labels[name]:20} p50 {ms:6.2f} ms" for name, ms in facts["overhead_p50_ms"].items()
    )
    steps = ", ".join(f"{name} {ms:.2f}" for name, ms in facts["steps_p50_ms"].items())
    lines.append(f"  the router's own steps, p50 in ms: {steps}")
    lines.append(f"  target <= {TARGET_MS:.0f} ms: {'reached' if facts['reached'] else 'missed'}")
    return "\n".join(lines)


@contextmanager
def gateway(tools: int) -> Generator[str]:
    """Run the loopback gateway in a process of its own; gives its address."""
    command = [sys.executable, "-m", "scripts.benchmarks.loopback_gateway", "--tools", str(tools)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def main() -> int:
    """Measure, print, and exit 0 when the target is reached, 1 when it is not."""
    parser = argparse.ArgumentParser(prog="scripts/bench_overhead", description=__doc__)
    parser.add_argument("-n", type=int, default=100, help="how often each is called")
    parser.add_argument("--tools", type=int, default=2375, help="how many tools the gateway has")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    try:
        facts = anyio.run(measure, options.n, options.tools)
    except* NotMeasured as group:
        print(f"bench_overhead: {_first(group)}", file=sys.stderr)
        sys.exit(2)
    print(json.dumps(facts, indent=2) if options.json else report(facts))
    return 0 if facts["reached"] else 1


async def _known_name(router: Client) -> str:
    """The tool's id as the router shows it; asking for it waits until the catalog is there."""
    result = await router.call_tool("execute_task", {"task": TASK})
    decision = (result.meta or {}).get(META_KEY, {})
    if decision.get("status") != "executed":
        raise NotMeasured(f"execute_task did not execute {TASK!r}: {decision or result.content}")
    return str(decision["tool"])


def _first(group: BaseExceptionGroup[NotMeasured]) -> BaseException:
    """The error inside the groups that the connections' task groups made of it."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _check(result: CallToolResult) -> None:
    first = result.content[0] if result.content else None
    if result.is_error or not isinstance(first, TextContent) or first.text != ANSWER:
        raise NotMeasured(f"A call was not answered by the tool: {result.content}")


def _environ(folder: Path, url: str) -> dict[str, str]:
    config = folder / "router.yml"
    config.write_text(ROUTER_YML, encoding="utf-8")
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "TOOL_ROUTER_HOME": str(folder),
        "TOOL_ROUTER_CONFIG": str(config),
        "GATEWAY_URL": url,
    }


def _p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


if __name__ == "__main__":
    sys.exit(main())
