"""A task that no tool of a small catalog fits is not executed, whatever small words it shares with one."""

from __future__ import annotations

import pytest
from mcp import Client

from tests.integration.surface.conftest import RouterHome

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("task", ["What is the weather in Oslo?", "What is the current time in Tokyo?"])
async def test_a_task_that_shares_only_function_words_with_a_tool_does_not_run_it(
    router_home: RouterHome, task: str
) -> None:
    async with Client(router_home.server()) as client:
        result = await client.call_tool("execute_task", {"task": task})

    decision = (result.meta or {})["tool-router/decision"]
    assert decision["status"] in {"no_match", "ambiguous"}
