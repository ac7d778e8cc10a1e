"""The real ContextForge, installed and started by the project's own script."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.types import CallToolResult, ImageContent, TextContent

from tool_router.catalog.model import Availability, Tool
from tool_router.errors import ToolUnavailable, UpstreamFailed
from tool_router.gateway.contextforge import ContextForgeGateway
from tool_router.gateway.protocol import no_progress

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("npm") is None, reason="the servers behind ContextForge need npm"),
]

ROOT = Path(__file__).parents[3]
Transport = Literal["rpc", "mcp"]
BOTH = pytest.mark.parametrize("transport", ["rpc", "mcp"])


@dataclass(frozen=True)
class Real:
    """A running ContextForge."""

    home: Path
    url: str
    token: str

    def gateway(self, transport: Transport = "rpc") -> ContextForgeGateway:
        return ContextForgeGateway(self.url, self.token, transport=transport)

    def kill(self, name: str) -> None:
        """End one of the servers, and all it started."""
        pid, _ = json.loads((self.home / "processes.json").read_text())[name]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def switch(self, name: str, *, on: bool) -> None:
        """Enable or disable a tool, as an administrator does."""
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=30) as admin:
            query = {"limit": "0", "include_inactive": "true"}
            rows: list[Mapping[str, str]] = admin.get("/v1/tools", params=query).json()
            row_id = next(row["id"] for row in rows if row["name"] == name)
            path = f"/v1/tools/{row_id}/state"
            admin.post(path, params={"activate": str(on).lower()}).raise_for_status()


def script(command: str, home: Path, *options: str) -> str:
    argv = [sys.executable, "-m", "scripts.contextforge_try", command, str(home), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def real(contextforge_home: Path) -> Generator[Real]:
    home = contextforge_home
    try:
        printed = script("up", home, "--port", "0")
        values = dict(line.removeprefix("export ").split("=", 1) for line in printed.splitlines())
        yield Real(home, values["GATEWAY_URL"], values["GATEWAY_TOKEN"])
    finally:
        script("down", home)


async def tools_of(gateway: ContextForgeGateway) -> dict[str, Tool]:
    return {tool.id: tool for tool in await gateway.list_tools()}


def text_of(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


async def test_its_catalog_is_read_with_servers_schemas_and_hints(real: Real) -> None:
    gateway = real.gateway()
    async with gateway.open():
        tools = await tools_of(gateway)
        health = await gateway.check()
    assert {tool.server for tool in tools.values()} == {"everything", "filesystem", "time"}
    now = tools["time::get_current_time"]
    assert now.hints.read_only is True
    assert isinstance(now.input_schema, Mapping)
    assert "timezone" in now.input_schema["properties"]
    assert health.ok


@BOTH
async def test_it_answers_for_a_time_a_file_and_a_picture(real: Real, transport: Transport) -> None:
    gateway = real.gateway(transport)
    file = real.home / "files" / "hello.txt"
    async with gateway.open():
        tools = await tools_of(gateway)
        now = await gateway.call(tools["time::get_current_time"], {"timezone": "Asia/Tokyo"}, no_progress)
        read = await gateway.call(tools["filesystem::read_text_file"], {"path": str(file)}, no_progress)
        picture = await gateway.call(tools["everything::get-tiny-image"], {}, no_progress)
        failed = await gateway.call(tools["time::get_current_time"], {"timezone": "Mars/Base"}, no_progress)
        denied = await gateway.call(tools["filesystem::list_directory"], {"path": "/etc"}, no_progress)
    assert "+09:00" in text_of(now)
    assert text_of(read) == file.read_text()
    assert [block.mime_type for block in picture.content if isinstance(block, ImageContent)] == ["image/png"]
    assert failed.is_error
    assert "Mars/Base" in text_of(failed)
    # The file server's own words begin like ContextForge's for a missing permission.
    assert denied.is_error
    assert "Access denied" in text_of(denied)


async def test_its_mcp_endpoint_relays_progress(real: Real) -> None:
    steps: list[tuple[float, float | None]] = []

    async def relay(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total))

    gateway = real.gateway("mcp")
    async with gateway.open():
        tools = await tools_of(gateway)
        long_running = tools["everything::trigger-long-running-operation"]
        result = await gateway.call(long_running, {"duration": 1, "steps": 4}, relay)
    assert "completed" in text_of(result)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


@BOTH
async def test_a_disabled_tool_and_an_unknown_one_are_told_apart(real: Real, transport: Transport) -> None:
    gateway = real.gateway(transport)
    async with gateway.open():
        echo = (await tools_of(gateway))["everything::echo"]
        real.switch(echo.call_name, on=False)
        try:
            with pytest.raises(ToolUnavailable, match=r"switched off|not known"):
                await gateway.call(echo, {"message": "hi"}, no_progress)
            listed = (await tools_of(gateway))["everything::echo"]
        finally:
            real.switch(echo.call_name, on=True)
        unknown = Tool(id="everything::nope", name="nope", server="everything", call_name="everything-nope")
        with pytest.raises(ToolUnavailable, match=r"no longer in|not known"):
            await gateway.call(unknown, {}, no_progress)
    assert listed.availability is Availability.DISABLED


@pytest.mark.parametrize(("token", "said"), [(None, "No token"), ("wrong", "wrong or has expired")])
async def test_a_missing_token_is_told_from_a_wrong_one(real: Real, token: str | None, said: str) -> None:
    gateway = ContextForgeGateway(real.url, token)
    async with gateway.open():
        health = await gateway.check()
    assert not health.ok
    assert said in health.next_step


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_execute_task_answers_through_it(real: Real, mode: str, tmp_path: Path) -> None:
    """A time, a file, a picture and a tool with progress, asked of the router as a client asks it."""
    config = tmp_path / "tool-router" / "router.yml"
    config.parent.mkdir()
    config.write_text("gateway: {transport: mcp}\n")
    steps: list[float] = []

    async def relay(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    async def ask(client: Client, task: str, **named: object) -> CallToolResult:
        return await client.call_tool("execute_task", {"task": task, **named}, progress_callback=relay)

    router = StdioServerParameters(
        command=sys.executable,
        args=["-m", "tool_router"],
        env={
            **os.environ,
            "GATEWAY_URL": real.url,
            "GATEWAY_TOKEN": real.token,
            "XDG_CONFIG_HOME": str(tmp_path),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        },
    )
    file = real.home / "files" / "hello.txt"
    async with Client(router, mode=mode) as client:
        now = await ask(client, "What is the current time in Asia/Tokyo?")
        read = await ask(client, f"Read the text file {file}")
        picture = await ask(client, "Get the tiny image")
        long_running = await ask(
            client,
            "Run it",
            tool="everything::trigger-long-running-operation",
            arguments={"duration": 1, "steps": 3},
        )
    assert "+09:00" in text_of(now)
    assert text_of(read) == file.read_text()
    assert any(isinstance(block, ImageContent) for block in picture.content)
    assert "completed" in text_of(long_running)
    assert steps[-3:] == [1, 2, 3]


@BOTH
async def test_a_service_that_has_died_fails_behind_a_gateway_that_works(
    real: Real, transport: Transport
) -> None:
    gateway = real.gateway(transport)
    async with gateway.open():
        now = (await tools_of(gateway))["time::get_current_time"]
        real.kill("time")
        with pytest.raises(UpstreamFailed) as caught:
            await gateway.call(now, {"timezone": "UTC"}, no_progress)
    assert caught.value.counts_against == {"service", "tool"}
