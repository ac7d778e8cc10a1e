"""What a person reads in a client when the gateway or its catalog is bad, and that the session lives on."""

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
from mcp.types import CallToolResult, TextContent

from tests.integration.surface.conftest import ROOT
from tests.support.gateway_server import TOKEN, ContextForge, contextforge, row
from tests.support.loopback import answer, never

pytestmark = pytest.mark.anyio

ECHO = {"task": "x", "tool": "echo", "arguments": {"text": "hi"}}
HTML = answer(200, "<html><title>Sign in</title></html>", "text/html")
HALF = answer(200, '{"jsonrpc": "2.0", "resu')
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {"node": {"type": "object", "properties": {"child": {"$ref": "#/$defs/node"}}}},
}


@asynccontextmanager
async def client_of(fake: ContextForge, home: Path, budget_s: float = 20.0) -> AsyncGenerator[Client]:
    config = home / "router.yml"
    # Breakers are for other tests: here every failure is to be read.
    config.write_text(
        "relevance: {enabled: false}\nbreaker: {failure_threshold: 50}\n"
        f"request: {{budget_s: {budget_s}}}\n",
        encoding="utf-8",
    )
    environ = os.environ | {
        "TOOL_ROUTER_HOME": str(home),
        "TOOL_ROUTER_CONFIG": str(config),
        "TOOL_ROUTER_LOG": "error",
        "GATEWAY_URL": fake.url,
        "GATEWAY_TOKEN": TOKEN,
    }
    server = StdioServerParameters(command=sys.executable, args=["-m", "tool_router"], env=environ, cwd=ROOT)
    with anyio.fail_after(60):
        async with Client(server) as client:
            yield client


def text(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


async def ask(client: Client, call: dict[str, Any]) -> CallToolResult:
    return await client.call_tool("execute_task", call)


async def test_each_bad_answer_to_a_call_is_read_as_what_it_is_and_what_to_do(tmp_path: Path) -> None:
    told = {
        "html": (HTML, "an HTML page (Sign in)", "check gateway.url"),
        "half a json": (HALF, "24 bytes that are no JSON", "The answer was cut off"),
        "401": (answer(401, '{"detail": "Invalid"}'), "answered 401: Invalid", "GATEWAY_TOKEN"),
        "403": (answer(403, '{"detail": "Denied"}'), "answered 403: Denied", "tools.execute"),
        "404": (answer(404, '{"detail": "Not Found"}'), "answered 404", "gateway.url"),
        "500": (answer(500, "oops", "text/plain"), "answered 500: oops", "gateway's log"),
        "429": (answer(429, "", headers={"retry-after": "7"}), "answered 429.", "Nothing is sent for 7 s"),
    }
    async with contextforge() as fake, client_of(fake, tmp_path) as client:
        assert text(await ask(client, ECHO)) == '{"text": "hi"}'
        for name, (fault, what, todo) in told.items():
            fake.faulty.faults |= {"/rpc": fault}
            result = await ask(client, ECHO)
            assert result.is_error, name
            assert what in text(result)
            assert todo in text(result)
            assert TOKEN not in str(result)
            fake.faulty.faults.clear()
            if name != "429":
                assert text(await ask(client, ECHO)) == '{"text": "hi"}', name
        arrived = len(fake.faulty.seen)
        resting = text(await ask(client, ECHO))
        assert "asked for a pause" in resting
        assert "answered 429" in resting
        assert len(fake.faulty.seen) == arrived


async def test_a_gateway_that_never_answers_is_given_up_within_the_budget(tmp_path: Path) -> None:
    async with contextforge() as fake, client_of(fake, tmp_path, budget_s=2.0) as client:
        assert text(await ask(client, ECHO)) == '{"text": "hi"}'
        fake.faulty.faults["*"] = never
        with anyio.fail_after(10):
            result = await ask(client, ECHO)
        assert result.is_error
        assert "did not answer within" in text(result)
        assert "may or may not have run" in text(result)
        fake.faulty.faults.clear()
        assert text(await ask(client, ECHO)) == '{"text": "hi"}'


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [(200, "<html>", "HTML page"), (401, "{}", "GATEWAY_TOKEN"), (500, "oops", "gateway's log")],
)
async def test_a_catalog_that_can_not_be_read_is_told_and_read_when_it_can(
    status: int, body: str, said: str, tmp_path: Path
) -> None:
    async with contextforge() as fake, client_of(fake, tmp_path) as client:
        fake.faulty.faults["*"] = answer(status, body)
        result = await ask(client, ECHO)
        assert result.is_error
        assert said in text(result)
        fake.faulty.faults.clear()
        assert text(await ask(client, ECHO)) == '{"text": "hi"}'


async def test_a_gateway_without_tools_is_told_with_where_to_look(tmp_path: Path) -> None:
    async with contextforge() as fake:
        fake.rows = []
        async with client_of(fake, tmp_path) as client:
            result = await ask(client, {"task": "What time is it in Oslo?"})
            assert "There are no tools to choose from" in text(result)
            assert "tool-router doctor" in text(result)
            assert "no tool named 'echo'" in text(await ask(client, ECHO))


async def test_tools_of_one_name_and_tools_listed_twice_can_be_told_apart(tmp_path: Path) -> None:
    async with contextforge() as fake:
        fake.rows = [row("echo", "one"), row("echo", "one"), row("echo", "two")]
        async with client_of(fake, tmp_path) as client:
            assert (
                text(await ask(client, ECHO))
                == "2 tools are named 'echo'. Name one of: one::echo, two::echo."
            )
            assert text(await ask(client, ECHO | {"tool": "two::echo"})) == '{"text": "hi"}'


@pytest.mark.parametrize("schema", [True, TREE, None, "x"], ids=["true", "recursive", "none", "a string"])
async def test_a_tool_with_a_strange_schema_can_be_called(schema: Any, tmp_path: Path) -> None:
    async with contextforge() as fake:
        fake.rows = [row("echo", "everything", inputSchema=schema)]
        async with client_of(fake, tmp_path) as client:
            assert text(await ask(client, ECHO)) == '{"text": "hi"}'


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"properties": {"text": {"pattern": "("}}},
        {"$ref": "https://schemas.example/echo.json"},
        {"properties": {"text": {"$ref": "#/nowhere"}}},
    ],
    ids=["unknown type", "broken pattern", "remote reference", "dangling reference"],
)
async def test_a_schema_that_can_not_be_used_is_told_and_nothing_is_called(
    schema: dict[str, Any], tmp_path: Path
) -> None:
    async with contextforge() as fake:
        fake.rows = [row("echo", "everything", inputSchema=schema), row("other")]
        async with client_of(fake, tmp_path) as client:
            result = await ask(client, ECHO)
            assert "the tool's schema could not be used" in text(result)
            assert not fake.faulty.arrived("/rpc")
            assert text(await ask(client, ECHO | {"tool": "other"})) == '{"text": "hi"}'
