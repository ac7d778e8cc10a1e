"""A thousand calls at once through a real router process: each gets its own answer, and nothing piles up."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from tests.support.gateway_server import TOKEN, ContextForge, contextforge, row
from tool_router.control.client import ask_routers
from tool_router.control.place import sockets_dir

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]

AT_ONCE = 1000
CONNECTIONS = 10
"""Calls that a router makes of one gateway at a time, where its settings say no other number."""
BY_TASK = 100
AGAIN = 400
MOST_MB = 80.0
"""What a thousand calls at once may take beside what a router holds after its first call."""
MOST_MORE_MB = 8.0
"""What may be held for further ones, when the thousand are through: 20 kB for each call would be more."""

ROWS = [
    row(
        "echo",
        "everything",
        description="Echo a text: give it back as it is.",
        inputSchema={
            "type": "object",
            "properties": {"text": {"type": "string", "description": "The text to echo."}},
            "required": ["text"],
        },
        annotations={"readOnlyHint": True},
    )
]


def environ(home: Path, gateway: ContextForge) -> dict[str, str]:
    (home / "router.yml").write_text(
        "relevance: {enabled: false}\n"
        "policy: {read: 0, no_match: 1}\n"
        f"gateway: {{url: '{gateway.url}', token: {TOKEN}, kind: contextforge}}\n",
        encoding="utf-8",
    )
    return os.environ | {
        "TOOL_ROUTER_HOME": str(home),
        "TOOL_ROUTER_CONFIG": str(home / "router.yml"),
        "TOOL_ROUTER_LOG": "error",
    }


def held_mb(env: dict[str, str]) -> float:
    """Memory of the router process, by the name of its control socket."""
    (socket,) = sockets_dir(env).glob("*.sock")
    pages = int(Path(f"/proc/{socket.stem}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def all_at_once(
    client: Client, calls: dict[str, dict[str, Any]], meanwhile: Callable[[], Awaitable[None]] | None = None
) -> dict[str, CallToolResult]:
    results: dict[str, CallToolResult] = {}

    async def call(text: str, arguments: dict[str, Any]) -> None:
        results[text] = await client.call_tool("execute_task", arguments)

    async with anyio.create_task_group() as tasks:
        for text, arguments in calls.items():
            tasks.start_soon(call, text, arguments)
        if meanwhile is not None:
            await meanwhile()
    return results


def echoed(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert not result.is_error, content.text
    return json.loads(content.text)["text"]


def by_name(text: str) -> dict[str, Any]:
    return {"task": "Echo a text.", "tool": "everything::echo", "arguments": {"text": text}}


def by_task(text: str) -> dict[str, Any]:
    return {"task": f'Echo the text "{text}"'}


async def right_answers(
    client: Client, calls: dict[str, dict[str, Any]], meanwhile: Callable[[], Awaitable[None]] | None = None
) -> None:
    results = await all_at_once(client, calls, meanwhile)
    assert {text: echoed(result) for text, result in results.items()} == {text: text for text in calls}


async def test_a_thousand_calls_at_once_are_answered_each_with_its_own(tmp_path: Path) -> None:
    async with contextforge(rows=ROWS) as gateway:
        env = environ(tmp_path, gateway)
        server = StdioServerParameters(command=sys.executable, args=["-m", "tool_router"], env=env, cwd=ROOT)

        async def let_go_when_all_wait() -> None:
            """The gateway answers nobody before every call is under way, there or in the router's queue."""
            waiting = 0
            while waiting < AT_ONCE - CONNECTIONS:
                (router,) = await ask_routers(env, "status")
                # One that is too busy to say answers nothing.
                waiting = router.value["waiting"] if router.value else 0
            gateway.release.set()

        async with Client(server) as client:
            with anyio.fail_after(120):
                await right_answers(client, {"first": by_name("first")})
                held = [held_mb(env)]
                gateway.slow.add(ROWS[0]["name"])
                calls = {f"name {number}": by_name(f"name {number}") for number in range(AT_ONCE)}
                await right_answers(client, calls, let_go_when_all_wait)
                held.append(held_mb(env))
                await right_answers(client, {f"task {n}": by_task(f"task {n}") for n in range(BY_TASK)})
                held.append(held_mb(env))
                await right_answers(client, {f"more {n}": by_name(f"more {n}") for n in range(AGAIN)})
                held.append(held_mb(env))
        arrived = Counter(
            request.message["params"]["arguments"]["text"]
            for request in gateway.faulty.arrived("/rpc")
            if request.message["method"] == "tools/call"
        )
    assert set(arrived.values()) == {1}
    assert len(arrived) == 1 + AT_ONCE + BY_TASK + AGAIN
    assert held[1] - held[0] <= MOST_MB
    assert held[3] - held[2] <= MOST_MORE_MB
