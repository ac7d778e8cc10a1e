"""The MCP surface as a client sees it: a real process over stdio, in both protocol eras."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.session import ClientRequestContext
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, ImageContent, TextContent

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
SERVICE = ROOT / "tests" / "support" / "stdio_service.py"
ERAS = ["2026-07-28", "legacy"]
DECISION = "tool-router/decision"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    services = tmp_path / "services.yml"
    services.write_text(
        f'services:\n  faulty:\n    command: ["{sys.executable}", "{SERVICE}", "--noise"]\n', encoding="utf-8"
    )
    return tmp_path


@asynccontextmanager
async def client_of(home: Path, mode: str, **options: Any) -> AsyncGenerator[Client]:
    environ = {
        **os.environ,
        "TOOL_ROUTER_HOME": str(home / "home"),
        "TOOL_ROUTER_SERVICES": str(home / "services.yml"),
        "TOOL_ROUTER_LOG": "debug",
    }
    environ.pop("TOOL_ROUTER_CONFIG", None)
    server = StdioServerParameters(command=sys.executable, args=["-m", "tool_router"], env=environ, cwd=ROOT)
    with anyio.fail_after(60):
        async with Client(server, mode=mode, **options) as client:
            yield client


def facts(result: CallToolResult) -> dict[str, Any]:
    return (result.meta or {})[DECISION]


def text(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


@pytest.mark.parametrize("mode", ERAS)
async def test_a_client_sees_one_tool_and_gets_the_upstreams_result(home: Path, mode: str) -> None:
    async with client_of(home, mode) as client:
        (tool,) = (await client.list_tools()).tools
        assert tool.name == "execute_task"
        assert set(tool.input_schema["properties"]) == {"task", "context", "tool", "arguments"}
        assert tool.input_schema["required"] == ["task"]

        result = await client.call_tool("execute_task", {"task": 'echo back the message "hello there"'})

        assert text(result) == "echo: hello there"
        assert facts(result)["tool"] == "faulty::echo"
        assert facts(result)["arguments"]["message"]["source"] == "task"

        (described,) = (await client.list_tools(cache_mode="refresh")).tools
        assert "faulty" in (described.description or "")


@pytest.mark.parametrize("mode", ERAS)
async def test_images_and_progress_pass_through(home: Path, mode: str) -> None:
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with client_of(home, mode) as client:
        image = await client.call_tool("execute_task", {"task": "x", "tool": "picture"})
        assert isinstance(image.content[0], ImageContent)
        assert image.content[0].mime_type == "image/png"

        await client.call_tool("execute_task", {"task": "x", "tool": "steps"}, progress_callback=hear)
        assert heard[-2:] == ["half", "all"]


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (ElicitResult(action="accept", content={"run": True}), "executed"),
        (ElicitResult(action="accept", content={"run": False}), "declined"),
        (ElicitResult(action="decline"), "declined"),
    ],
)
async def test_a_destructive_tool_runs_only_when_a_person_agrees(
    home: Path, mode: str, answer: ElicitResult, status: str
) -> None:
    asked: list[str] = []

    async def elicit(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return answer

    async with client_of(home, mode, elicitation_callback=elicit) as client:
        result = await client.call_tool(
            "execute_task", {"task": 'delete the item name "old"', "tool": "delete_item"}
        )

    assert facts(result)["status"] == status
    assert len(asked) == 1
    assert "faulty::delete_item" in asked[0]
    assert "old" in asked[0]


@pytest.mark.parametrize("mode", ERAS)
async def test_without_elicitation_the_call_to_confirm_is_returned_and_runs_when_made(
    home: Path, mode: str
) -> None:
    async with client_of(home, mode) as client:
        first = await client.call_tool(
            "execute_task", {"task": 'delete the item name "old"', "tool": "delete_item"}
        )
        assert facts(first)["status"] == "confirm"
        assert not first.is_error

        second = await client.call_tool("execute_task", first.structured_content["next_call"])
        assert text(second) == "deleted old"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"task": ""}, "empty"),
        ({"task": "\0 \x01\x7f binary \U0001f600"}, ""),
        ({"task": "x " * 500_000}, ""),
        ({"task": "x" * 1_000_000, "context": "x." * 500_000}, ""),
        ({"task": "x", "tool": "ehco"}, "faulty::echo"),
        ({"task": "x", "tool": "echo", "arguments": {"message": [1], "other": 2}}, "message"),
        ({"task": 5}, "task"),
    ],
    ids=[
        "empty",
        "binary",
        "1 MB",
        "1 MB in one word",
        "unknown tool",
        "arguments that do not fit",
        "no text",
    ],
)
async def test_bad_input_is_answered_and_the_session_lives_on(
    home: Path, arguments: dict[str, Any], said: str
) -> None:
    async with client_of(home, "2026-07-28") as client:
        result = await client.call_tool("execute_task", arguments)
        assert said in text(result)
        after = await client.call_tool(
            "execute_task", {"task": "x", "tool": "echo", "arguments": {"message": "a"}}
        )
        assert text(after) == "echo: a"


async def test_a_mended_configuration_needs_no_restart(home: Path) -> None:
    good = (home / "services.yml").read_text(encoding="utf-8")
    (home / "services.yml").write_text("services:\n  faulty:\n    comand: x\n", encoding="utf-8")
    call = {"task": "x", "tool": "echo", "arguments": {"message": "a"}}
    async with client_of(home, "2026-07-28") as client:
        broken = await client.call_tool("execute_task", call)
        assert broken.is_error
        assert "services.yml:3" in text(broken)
        assert "command" in text(broken)

        (home / "services.yml").write_text(good, encoding="utf-8")
        assert text(await client.call_tool("execute_task", call)) == "echo: a"
