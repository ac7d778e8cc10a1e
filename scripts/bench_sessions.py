"""What sharing upstream sessions saves of a call through a real ContextForge, measured in one run.

    GATEWAY_TOKEN=... python -m scripts.bench_sessions --url http://127.0.0.1:4444

Calls an echo or a clock tool of the gateway in turns, with sessions shared and with none.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping
from typing import Any

import anyio

from tool_router.catalog.model import Tool
from tool_router.errors import ToolRouterError
from tool_router.gateway.contextforge import ContextForgeGateway
from tool_router.gateway.protocol import no_progress

TARGET_RATIO = 0.5
WARM_UP = 5
ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "echo": {"message": "hi"},
    "get_current_time": {"timezone": "UTC"},
}
"""What can be called without effect: by the tool's own name."""


class NotMeasured(Exception):
    """A call did not do what was to be measured."""


async def measure(url: str, token: str | None, times: int, sessions: int) -> dict[str, Any]:
    """Call every tool of `ARGUMENTS` that the gateway has, in turns; the facts that are printed.

    Raises:
        NotMeasured: there is no such tool, or a call gave an error.
        ToolRouterError: the gateway could not be read, or a call failed.
    """
    # A seed of its own, so that the next measurement adds no sessions to the gateway.
    seed = f"bench_sessions {token}".encode()
    shared = ContextForgeGateway(url, token, sessions=sessions, session_seed=seed)
    alone = ContextForgeGateway(url, token, sessions=0)
    async with shared.open(), alone.open():
        tools = [tool for tool in await shared.list_tools() if tool.available and tool.name in ARGUMENTS]
        if not tools:
            raise NotMeasured(f"The gateway has no tool named {' or '.join(ARGUMENTS)}.")
        measured = {
            tool.id: await _take_turns({"shared": shared, "alone": alone}, tool, times) for tool in tools
        }
    ratios = {tool: facts["ratio"] for tool, facts in measured.items()}
    return {
        "runs": times,
        "sessions": sessions,
        "tools": measured,
        "target_ratio": TARGET_RATIO,
        "reached": max(ratios.values()) <= TARGET_RATIO,
    }


async def _take_turns(gateways: Mapping[str, ContextForgeGateway], tool: Tool, times: int) -> dict[str, Any]:
    took: dict[str, list[float]] = {name: [] for name in gateways}
    names = list(gateways)
    for number in range(times + WARM_UP):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            started = time.perf_counter()
            result = await gateways[name].call(tool, ARGUMENTS[tool.name], no_progress)
            ms = (time.perf_counter() - started) * 1000
            if result.is_error:
                raise NotMeasured(f"{tool.id} answered with an error: {result.content}")
            if number >= WARM_UP:
                took[name].append(ms)
    medians = {name: statistics.median(values) for name, values in took.items()}
    return {
        "p50_ms": {name: round(value, 1) for name, value in medians.items()},
        "p95_ms": {name: round(_p95(values), 1) for name, values in took.items()},
        "ratio": round(medians["shared"] / medians["alone"], 3),
    }


def report(facts: Mapping[str, Any]) -> str:
    """The facts as people read them."""
    lines = [f"{facts['runs']} calls each, in turns; up to {facts['sessions']} shared sessions of a service"]
    for tool, measured in facts["tools"].items():
        p50, p95 = measured["p50_ms"], measured["p95_ms"]
        lines.append(f"  {tool}")
        lines.extend(
            f"    {label:28} p50 {p50[name]:7.1f} ms   p95 {p95[name]:7.1f} ms"
            for name, label in (("alone", "a session for each call"), ("shared", "sessions shared"))
        )
        lines.append(f"    p50 with over p50 without    {measured['ratio']:.2f}")
    lines.append(f"  target <= {TARGET_RATIO:g}: {'reached' if facts['reached'] else 'missed'}")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and exit: 0 when the target is reached, 1 when not, 2 when nothing was measured."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_sessions", description=__doc__)
    parser.add_argument(
        "--url", default=os.environ.get("GATEWAY_URL"), help="the gateway; GATEWAY_URL by default"
    )
    parser.add_argument("--token", default=os.environ.get("GATEWAY_TOKEN"), help="GATEWAY_TOKEN by default")
    parser.add_argument("-n", type=int, default=100, help="how often each is called")
    parser.add_argument("--sessions", type=int, default=4, help="ids of a service at most")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if not options.url:
        parser.error("--url or GATEWAY_URL is needed")
    try:
        facts = anyio.run(measure, options.url, options.token, options.n, options.sessions)
    except (NotMeasured, ToolRouterError) as error:
        print(f"bench_sessions: {error}", file=sys.stderr)
        return 2
    print(json.dumps(facts, indent=2) if options.json else report(facts))
    return 0 if facts["reached"] else 1


def _p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


if __name__ == "__main__":
    sys.exit(main())
