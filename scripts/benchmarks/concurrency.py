"""Many calls of execute_task at once through a real router process: is each answered, and with its own?"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from scripts.benchmarks.loopback_gateway import TOOL
from scripts.benchmarks.overhead import ROUTER_YML, gateway
from tool_router.control.place import sockets_dir
from tool_router.install.launch import own_command

ROUNDS = 3
"""The first warms up what later ones use again, so that their growth is what is left behind."""

MOST_GROWTH_MB = 10.0
"""What the router may hold beyond that after the last round: it learns from each call, about 2 kB a call
until its index of outcomes is full."""


async def measure(at_once: int, by_task: int, tools: int) -> dict[str, Any]:
    """Make the calls in rounds, by name, then by task; the facts that are printed."""
    with tempfile.TemporaryDirectory() as folder, gateway(tools) as url:
        environ = _environ(Path(folder), url)
        command = own_command()
        server = StdioServerParameters(command=command[0], args=list(command[1:]), env=environ)
        async with Client(server) as client:
            await _round(client, {"first": _named("first")})
            held = [_held_mb(environ)]
            rounds: list[dict[str, Any]] = []
            for number in range(ROUNDS):
                texts = [f"round {number} call {call}" for call in range(at_once)]
                rounds.append(await _round(client, {text: _named(text) for text in texts}))
                held.append(_held_mb(environ))
            texts = [f"task {call}" for call in range(by_task)]
            tasks = await _round(client, {text: {"task": f'Reverse the text "{text}"'} for text in texts})
            held.append(_held_mb(environ))
    every = [*rounds, tasks]
    growth_mb = held[ROUNDS] - held[1]
    return {
        "at_once": at_once,
        "tools": tools,
        "rounds_by_name": rounds,
        "by_task": tasks,
        "held_mb": [round(mb, 1) for mb in held],
        "growth_mb": round(growth_mb, 1),
        "most_growth_mb": MOST_GROWTH_MB,
        "reached": growth_mb <= MOST_GROWTH_MB and all(one["right"] == one["calls"] for one in every),
    }


def report(facts: Mapping[str, Any]) -> str:
    """The facts as people read them."""
    lines = [f"{facts['at_once']} calls of execute_task at once over stdio, {facts['tools']} tools"]
    rounds = facts["rounds_by_name"]
    labels = [f"round {number + 1}, by name" for number in range(len(rounds))]
    for label, one in zip([*labels, "by task"], [*rounds, facts["by_task"]], strict=True):
        lines.append(
            f"  {label:16} {one['calls']:5} calls: {one['right']} right, {one['wrong']} wrong, "
            f"{one['lost']} lost; {one['seconds']:.1f} s, {one['calls'] / one['seconds']:.0f} a second"
        )
        lines.extend(f"    {failure}" for failure in one["failures"])
    held = ", ".join(f"{mb:.0f}" for mb in facts["held_mb"])
    lines.append(f"  the router holds, in MB, after its first call and after each round: {held}")
    lines.append(
        f"  growth from the first round to the last by name: {facts['growth_mb']:.1f} MB "
        f"(at most {facts['most_growth_mb']:.0f})"
    )
    lines.append(f"  none lost, none wrong, growth bounded: {'reached' if facts['reached'] else 'missed'}")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and exit 0 when all of it holds, 1 when it does not."""
    parser = argparse.ArgumentParser(prog="scripts/bench_concurrency", description=__doc__)
    parser.add_argument("-n", type=int, default=1000, help="calls at once, by name")
    parser.add_argument("--tasks", type=int, default=200, help="calls at once, by task")
    parser.add_argument("--tools", type=int, default=100, help="how many tools the gateway has")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    facts = anyio.run(measure, options.n, options.tasks, options.tools)
    print(json.dumps(facts, indent=2) if options.json else report(facts))
    return 0 if facts["reached"] else 1


async def _round(client: Client, calls: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Make all calls at once; each is to be answered with its text, reversed."""
    answers: dict[str, str] = {}
    failures: list[str] = []

    async def call(text: str, arguments: Mapping[str, Any]) -> None:
        try:
            result = await client.call_tool("execute_task", dict(arguments))
        except MCPError as error:
            failures.append(str(error))
            return
        if result.is_error:
            failures.append(_text(result))
        else:
            answers[text] = _text(result)

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for text, arguments in calls.items():
            tasks.start_soon(call, text, arguments)
    right = sum(answer == text[::-1] for text, answer in answers.items())
    return {
        "calls": len(calls),
        "right": right,
        "wrong": len(answers) - right,
        "lost": len(calls) - len(answers),
        "seconds": round(time.perf_counter() - began, 2),
        "failures": sorted(set(failures))[:5],
    }


def _named(text: str) -> dict[str, Any]:
    return {"task": "Reverse a text.", "tool": TOOL, "arguments": {"text": text}}


def _text(result: CallToolResult) -> str:
    first = result.content[0] if result.content else None
    return first.text if isinstance(first, TextContent) else ""


def _held_mb(environ: Mapping[str, str]) -> float:
    """Memory of the router process, which its control socket is named after."""
    (socket,) = sockets_dir(environ).glob("*.sock")
    pages = int(Path(f"/proc/{socket.stem}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _environ(folder: Path, url: str) -> dict[str, str]:
    config = folder / "router.yml"
    config.write_text(ROUTER_YML, encoding="utf-8")
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "TOOL_ROUTER_HOME": str(folder),
        "TOOL_ROUTER_CONFIG": str(config),
        "GATEWAY_URL": url,
    }


if __name__ == "__main__":
    sys.exit(main())
