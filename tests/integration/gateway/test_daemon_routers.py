"""Routers as processes that share a daemon, and what is left when one of them is killed."""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult

from tests.integration.daemon.home import ROOT, Home
from tests.integration.gateway.daemon_home import (
    address_of,
    gone,
    killed,
    text,
    until,
)

pytestmark = pytest.mark.anyio


FAULTY = ROOT / "tests" / "support" / "stdio_service.py"


def router(home: Home) -> StdioServerParameters:
    environ = {
        **home.environ,
        "TOOL_ROUTER_SERVICES": str(home.file),
        "TOOL_ROUTER_DAEMON": "shared",
        "TOOL_ROUTER_DAEMON_IDLE": "500ms",
        "TOOL_ROUTER_LOG": "error",
    }
    return StdioServerParameters(
        command=sys.executable, args=["-m", "tool_router"], env=environ, cwd=str(ROOT)
    )


def write_faulty(home: Home) -> None:
    command = json.dumps([sys.executable, str(FAULTY)])
    home.file.write_text(f"services:\n  faulty:\n    command: {command}\n")


async def execute(client: Client, name: str, **arguments: Any) -> CallToolResult:
    # Until its catalog is there, a router asks back.
    asked = {"task": "do it", "tool": name, "arguments": arguments}
    return await client.call_tool("execute_task", asked)


async def whoami(client: Client) -> int:
    result = await execute(client, "whoami")
    assert not result.is_error, result
    return int(text(result))


async def test_two_routers_share_one_daemon_and_one_service_until_both_are_gone(home: Home) -> None:
    write_faulty(home)
    steps: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        steps.append(message)

    with anyio.fail_after(60):
        async with Client(router(home)) as one:
            async with Client(router(home)) as two:
                pid = await whoami(one)
                assert await whoami(two) == pid
                first = await address_of(home)

                asked: dict[str, Any] = {"task": "do it", "tool": "steps", "arguments": {}}
                done = await two.call_tool("execute_task", asked, progress_callback=hear)
                assert text(done) == "done"
                assert steps[-2:] == ["half", "all"]

                told = await execute(two, "crash")
                assert told.is_error
                assert "about to crash" in str(told.content)

                await killed(first)
                again = await whoami(one)
                assert again != pid
                assert await whoami(two) == again
                second = await address_of(home)
                assert second.instance != first.instance
            assert await whoami(one) == again
        await until(lambda: gone(second.pid) and gone(again))
    assert not home.place.socket.exists()


async def test_a_killed_router_leaves_the_daemon_to_the_other(home: Home) -> None:
    write_faulty(home)
    with anyio.fail_after(60):
        async with Client(router(home)) as one:
            pid = await whoami(one)
            process = await anyio.open_process(
                [sys.executable, "-m", "tool_router"], env=router(home).env, cwd=ROOT
            )
            async with process:
                assert process.stdin is not None
                assert process.stdout is not None
                for message in handshake_and_call():
                    await process.stdin.send(json.dumps(message).encode() + b"\n")
                said = b""
                while b'"id": 2' not in said and b'"id":2' not in said:
                    said += await process.stdout.receive()
                assert str(pid).encode() in said
                process.kill()
                await process.wait()
            assert await whoami(one) == pid
            address = await address_of(home)
        await until(lambda: gone(address.pid) and gone(pid))


def handshake_and_call() -> list[dict[str, Any]]:
    about = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "wire", "version": "1"},
    }
    asked: dict[str, Any] = {
        "name": "execute_task",
        "arguments": {"task": "do it", "tool": "whoami", "arguments": {}},
    }
    return [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": asked},
    ]
