"""Gives tool-router everyday tasks through a real MCP client and shows what it did; see scripts/demo."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, ImageContent, TextContent

DECISION = "tool-router/decision"


@dataclass(frozen=True, slots=True)
class Step:
    """One task, what the router is to make of it, and whether its next call is followed."""

    task: str
    statuses: tuple[str, ...] = ("executed",)
    tool: str | None = None
    arguments: dict[str, Any] | None = None


def steps(files: str) -> list[Step]:
    """The tasks that are shown; `files` is the sample folder."""
    fact = {"entities": [{"name": "Ada", "entityType": "person", "observations": ["likes green tea"]}]}
    return [
        Step("What is the current time in Tokyo?"),
        Step("Convert the time 14:30 from Europe/Berlin to America/New_York"),
        Step(f"List the files in the directory {files}"),
        Step(f"Read the text file {files}/shopping.txt"),
        Step("Remember that Ada likes green tea", tool="memory::create_entities", arguments=fact),
        Step('Search the memory nodes for "Ada"'),
        Step("Convert the time to another zone", ("need_arguments", "ambiguous")),
        Step("Make me happy", ("no_match", "ambiguous")),
    ]


async def main(as_json: bool) -> int:
    """Run every step; returns the number of steps that did not end as they should."""
    wrong = 0
    rows: list[dict[str, Any]] = []

    def say(text: str) -> None:
        if not as_json:
            print(text)

    server = StdioServerParameters(command=sys.executable, args=["-m", "tool_router"], env=dict(os.environ))
    say("Starting tool-router. Services are installed by the first task that needs them: one to two minutes.")
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        say(f"The client sees {len(tools)} tool: {tools[0].name}\n")
        for step in steps(os.environ["TOOL_ROUTER_DEMO_FILES"]):
            say(f"> {step.task}")
            started = time.perf_counter()
            result = await client.call_tool(
                "execute_task", _arguments(step), progress_callback=_progress(say)
            )
            seconds = time.perf_counter() - started
            facts = (result.meta or {}).get(DECISION, {})
            right = facts.get("status") in step.statuses and not result.is_error
            wrong += not right
            rows.append({"task": step.task, "as_expected": right, "seconds": seconds, "decision": facts})
            _show(say, result, facts, seconds, right=right)
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        print(f"{len(rows) - wrong} of {len(rows)} tasks went as they should.")
    return wrong


def _arguments(step: Step) -> dict[str, Any]:
    given: dict[str, Any] = {"task": step.task}
    if step.tool is not None:
        given |= {"tool": step.tool, "arguments": step.arguments}
    return given


def _progress(say: Any) -> Any:
    async def show(progress: float, total: float | None, message: str | None) -> None:
        if message:
            say(f"    ... {message}")

    return show


def _show(say: Any, result: CallToolResult, facts: dict[str, Any], seconds: float, *, right: bool) -> None:
    confidence = facts.get("confidence")
    sure = "" if confidence is None else f", {confidence:.0%} sure"
    say(f"  {facts.get('status', 'failed')} {facts.get('tool') or ''} in {seconds:.2f} s{sure}")
    for name, value in facts.get("arguments", {}).items():
        evidence = f" ({value['evidence']!r})" if value["evidence"] else ""
        say(
            f"    {name} = {json.dumps(value['value'], ensure_ascii=False)}  from {value['source']}{evidence}"
        )
    for block in result.content:
        if isinstance(block, TextContent):
            for line in block.text.splitlines()[:8]:
                say(f"    | {line[:150]}")
        elif isinstance(block, ImageContent):
            say(f"    | [image {block.mime_type}]")
    if not right:
        say("  NOT AS EXPECTED")
    say("")


if __name__ == "__main__":
    sys.exit(1 if anyio.run(main, "--json" in sys.argv[1:]) else 0)
