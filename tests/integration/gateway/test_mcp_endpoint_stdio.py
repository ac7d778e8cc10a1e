"""A stdio command as a gateway."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio
import pytest
from mcp.types import TextContent
from structlog.testing import capture_logs

from tool_router.catalog.model import Tool
from tool_router.errors import GatewayTimeout, GatewayUnreachable, UpstreamFailed
from tool_router.gateway.mcp_endpoint import McpEndpointGateway
from tool_router.gateway.protocol import no_progress

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
SERVER = [sys.executable, "-m", "tests.support.mcp_http_server"]


def tool(name: str) -> Tool:
    return Tool(id=f"test-server::{name}", name=name, server="test-server", call_name=name)


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_command_is_started_by_the_first_request_and_serves_the_next(mode: str) -> None:
    steps: list[float] = []

    async def relay(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    gateway = McpEndpointGateway(command=SERVER, cwd=str(ROOT), mode=mode)
    async with gateway.open():
        assert "echo" in {item.name for item in await gateway.list_tools()}
        result = await gateway.call(tool("progress"), {"steps": 3}, relay)
        health = await gateway.check()
    assert result.content == [TextContent(type="text", text="3 steps")]
    assert steps == [1, 2, 3]
    assert health.ok


async def test_a_command_that_dies_in_a_call_is_an_upstream_failure_and_starts_again() -> None:
    gateway = McpEndpointGateway(command=SERVER, cwd=str(ROOT))
    async with gateway.open():
        with pytest.raises(UpstreamFailed, match=r"exit code 3\).* the disk is on fire") as caught:
            await gateway.call(tool("die"), {}, no_progress)
        assert caught.value.reached_tool
        result = await gateway.call(tool("echo"), {"text": "back"}, no_progress)
    assert result.content == [TextContent(type="text", text="back")]


async def test_a_command_that_died_between_two_calls_is_started_again_unnoticed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = shell(f'echo $$ > "{pid_file}"; exec "{sys.executable}" -m tests.support.mcp_http_server')
    gateway = McpEndpointGateway(command=command, cwd=str(ROOT))
    async with gateway.open():
        await gateway.call(tool("echo"), {"text": "a"}, no_progress)
        first = int(pid_file.read_text())
        with capture_logs() as logs, anyio.fail_after(10):
            os.kill(first, signal.SIGKILL)
            while not any(entry["event"] == "mcp_disconnected" for entry in logs):
                await anyio.lowlevel.checkpoint()
        result = await gateway.call(tool("echo"), {"text": "b"}, no_progress)
        second = int(pid_file.read_text())
    assert result.content == [TextContent(type="text", text="b")]
    assert second != first
    assert not _alive(second)


@pytest.mark.parametrize(
    ("command", "error", "said"),
    [
        (["no-such-program-anywhere"], GatewayUnreachable, "can't be started"),
        (["/dev/null"], GatewayUnreachable, "can't be started"),
        (shell("echo needs a KEY >&2; exit 3"), GatewayUnreachable, "Its last lines: needs a KEY"),
        (shell("exit 0"), GatewayUnreachable, "It printed nothing"),
    ],
)
async def test_a_command_that_is_no_server_says_why(
    command: list[str], error: type[Exception], said: str
) -> None:
    gateway = McpEndpointGateway(command=command)
    async with gateway.open():
        for _ in range(2):
            with pytest.raises(error, match=said):
                await gateway.list_tools()
        health = await gateway.check()
    assert not health.ok
    assert health.next_step


async def test_a_command_that_speaks_something_else_is_given_up_and_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = shell(f'echo $$ > "{pid_file}"; echo hello; echo world; exec sleep 60')
    gateway = McpEndpointGateway(command=command, connect_timeout_s=0.5)
    async with gateway.open():
        with pytest.raises(GatewayTimeout, match="did not speak MCP"):
            await gateway.list_tools()
    assert not _alive(int(pid_file.read_text()))


async def test_a_command_gets_this_environment_but_not_the_gateways_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "secret")
    monkeypatch.setenv("SOME_KEY", "given")
    seen = tmp_path / "seen"
    gateway = McpEndpointGateway(command=shell(f'echo "$SOME_KEY+$GATEWAY_TOKEN" > "{seen}"'))
    async with gateway.open():
        assert not (await gateway.check()).ok
    assert seen.read_text() == "given+\n"


async def test_a_command_that_writes_a_lot_to_stderr_is_not_held_up() -> None:
    noise = "import sys; sys.stderr.write('x' * 2_000_000 + chr(10) + 'last words' + chr(10))"
    gateway = McpEndpointGateway(command=[sys.executable, "-c", noise], connect_timeout_s=10)
    async with gateway.open():
        with pytest.raises(GatewayUnreachable, match="last words"):
            await gateway.list_tools()


async def test_a_command_dies_with_the_router_even_when_that_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    # Once spoken to, it ignores the end of its input, which would end most servers anyway.
    script = f'read line; echo $$ > "{pid_file}.new"; mv "{pid_file}.new" "{pid_file}"; exec sleep 600'
    router = (
        "import anyio; from tool_router.gateway.mcp_endpoint import McpEndpointGateway as G\n"
        "async def main():\n"
        f"    gateway = G(command={shell(script)!r})\n"
        "    async with gateway.open(): await gateway.check()\n"
        "anyio.run(main)"
    )
    async with await anyio.open_process([sys.executable, "-c", router], cwd=ROOT) as process:
        with anyio.fail_after(20):
            while not pid_file.exists():
                await anyio.lowlevel.checkpoint()
        pid = int(pid_file.read_text())
        ending = os.pidfd_open(pid)
        try:
            process.kill()
            with anyio.fail_after(10):
                await anyio.wait_readable(ending)
        finally:
            os.close(ending)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
