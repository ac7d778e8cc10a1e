"""A client that cancels its call cancels it upstream, in both protocol eras."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp.types import TextContent

from tests.integration.surface.conftest import ERAS, RouterHome

pytestmark = pytest.mark.anyio

SERVICE = Path(__file__).parents[2] / "support" / "waiting_service.py"


@pytest.mark.parametrize("mode", ERAS)
async def test_a_cancelled_call_is_cancelled_upstream_and_the_session_lives_on(
    router_home: RouterHome, mode: str
) -> None:
    router_home.write_services(waiting=[sys.executable, str(SERVICE)])
    waiting = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        if message == "waiting":
            waiting.set()

    async def call_and_cancel(client: Client) -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cancel_when_waiting, scope)
                await client.call_tool(
                    "execute_task",
                    {"task": "wait", "tool": "wait_until_cancelled", "arguments": {}},
                    progress_callback=hear,
                )
        assert scope.cancelled_caught

    async def cancel_when_waiting(scope: anyio.CancelScope) -> None:
        await waiting.wait()
        scope.cancel()

    with anyio.fail_after(60):
        async with Client(router_home.server(), mode=mode) as client:
            await call_and_cancel(client)
            after = await client.call_tool(
                "execute_task", {"task": "tell", "tool": "tell_cancellation", "arguments": {}}
            )

    (block,) = after.content
    assert isinstance(block, TextContent)
    assert block.text == "it was cancelled"
