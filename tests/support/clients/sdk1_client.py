"""An MCP client of SDK 1.x, run by an interpreter that has ``mcp<2``: what an older client sees of a server.

Reads one JSON object from stdin: ``command`` (argv), ``env``, ``calls`` (arguments of execute_task, one for
each call) and ``elicit`` (the action to answer a question with, or null for a client that can't be asked).
Prints one: ``protocol``, ``tools``, ``results``, ``progress`` (messages) and ``questions``, in the wire's own
spelling.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import ElicitResult

LIMIT_S = 60


async def main(plan: dict[str, Any]) -> dict[str, Any]:
    """Do what the plan says and return what was seen."""
    heard: list[str | None] = []
    questions: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async def answer(context: Any, params: Any) -> ElicitResult:
        questions.append(params.message)
        accepted = plan["elicit"] == "accept"
        return ElicitResult(action=plan["elicit"], content={"run": True} if accepted else None)

    command, *args = plan["command"]
    server = StdioServerParameters(command=command, args=args, env=plan["env"])
    asked: Any = answer if plan["elicit"] else None
    with anyio.fail_after(LIMIT_S):
        async with (
            stdio_client(server) as (read, write),
            ClientSession(read, write, elicitation_callback=asked) as session,
        ):
            hello = await session.initialize()
            tools = await session.list_tools()
            results = [
                await session.call_tool("execute_task", call, progress_callback=hear)
                for call in plan["calls"]
            ]
    return {
        "protocol": hello.model_dump(mode="json", by_alias=True)["protocolVersion"],
        "tools": tools.model_dump(mode="json", by_alias=True)["tools"],
        "results": [result.model_dump(mode="json", by_alias=True) for result in results],
        "progress": heard,
        "questions": questions,
    }


if __name__ == "__main__":
    json.dump(anyio.run(main, json.load(sys.stdin)), sys.stdout)
