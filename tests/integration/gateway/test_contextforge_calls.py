"""Calling tools through ContextForge's JSON-RPC."""

from __future__ import annotations

import json
import uuid

import anyio
import pytest
from mcp.types import ImageContent, TextContent

from tests.support.gateway_server import TOKEN, contextforge, row
from tests.support.loopback import answer, never
from tool_router.catalog.model import Availability, Tool
from tool_router.errors import (
    GatewayProtocolError,
    GatewayRejected,
    ToolUnavailable,
    UpstreamFailed,
)
from tool_router.gateway.contextforge import ContextForgeGateway
from tool_router.gateway.protocol import Gateway, no_progress

pytestmark = pytest.mark.anyio

ECHO = Tool(id="everything::echo", name="echo", server="everything", call_name="everything-echo")


def test_it_is_a_gateway_whose_key_holds_no_secret() -> None:
    gateway = ContextForgeGateway("http://127.0.0.1:4444/?key=secret", TOKEN)
    assert isinstance(gateway, Gateway)
    assert gateway.key == "contextforge:http://127.0.0.1:4444"


async def test_a_call_gives_the_upstreams_result_untouched() -> None:
    result = {
        "content": [
            {"type": "text", "text": "a picture", "annotations": {"audience": ["user"]}},
            {"type": "image", "data": "AAEC", "mimeType": "image/png"},
            {"type": "resource_link", "uri": "file:///a.txt", "name": "a.txt"},
        ],
        "structuredContent": {"x": [1, None]},
        "isError": False,
        "_meta": {"trace": "t"},
    }
    async with contextforge(results={ECHO.call_name: result}) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            got = await gateway.call(ECHO, {"text": "hi"}, no_progress)
        sent = fake.faulty.arrived("/rpc")[0]
    assert got.model_dump(by_alias=True, exclude_unset=True, mode="json") == result
    assert isinstance(got.content[1], ImageContent)
    assert sent.message["params"] == {"name": "everything-echo", "arguments": {"text": "hi"}}
    assert uuid.UUID(sent.message["id"])
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"


async def test_a_tools_own_error_is_a_result() -> None:
    result = {"content": [{"type": "text", "text": "Invalid timezone"}], "isError": True}
    async with contextforge(results={ECHO.call_name: result}) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            got = await gateway.call(ECHO, {}, no_progress)
    assert got.is_error
    assert got.content == [TextContent(type="text", text="Invalid timezone")]


async def test_a_cancelled_call_is_cancelled_at_the_gateway() -> None:
    async with contextforge(slow={ECHO.call_name}) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open(), anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.call, ECHO, {"text": "hi"}, no_progress)
            await fake.started.wait()
            tasks.cancel_scope.cancel()
        request_id = fake.faulty.arrived("/rpc")[0].message["id"]
        with anyio.fail_after(5):
            await fake.was_cancelled.wait()
    assert fake.cancelled == [request_id]


async def test_a_frozen_gateway_holds_a_cancelled_caller_for_a_moment_only() -> None:
    async with contextforge() as fake:
        fake.faulty.faults["/rpc"] = never
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            began = anyio.current_time()
            with anyio.move_on_after(0.1):
                await gateway.call(ECHO, {}, no_progress)
            assert 0.1 <= anyio.current_time() - began < 3


async def test_calls_that_run_at_once_get_their_own_answers() -> None:
    got: dict[int, str] = {}
    async with contextforge() as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)

        async def one(number: int) -> None:
            block = (await gateway.call(ECHO, {"n": number}, no_progress)).content[0]
            assert isinstance(block, TextContent)
            got[number] = block.text

        async with gateway.open(), anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(one, number)
    assert got == {number: json.dumps({"n": number}) for number in range(50)}


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({"enabled": False}, "switched off"),
        ({"reachable": False}, "can't reach everything"),
        (None, "no longer in the gateway"),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
async def test_a_tool_that_is_not_found_is_looked_up_to_say_why(
    now: dict[str, bool] | None, reason: str, *, listed: bool
) -> None:
    async with contextforge(rows=[row("other"), row("echo", "everything")]) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            if listed:
                await gateway.list_tools()
            if now is None:
                del fake.rows[1]
            else:
                fake.rows[1].update(now)
            with pytest.raises(ToolUnavailable, match=reason) as caught:
                await gateway.call(ECHO, {}, no_progress)
    assert not caught.value.reached_tool


async def test_a_tool_known_as_unavailable_is_never_asked_for() -> None:
    off = Tool(id="a::b", name="b", availability=Availability.DISABLED, unavailable_reason="It is off.")
    async with contextforge() as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            with pytest.raises(ToolUnavailable, match="It is off"):
                await gateway.call(off, {}, no_progress)
        assert fake.faulty.seen == []


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ({"code": -32603, "message": "Internal error"}, UpstreamFailed),
        ({"code": -32003, "message": "Access denied"}, GatewayRejected),
        ({"code": -32600, "message": "Invalid Request"}, GatewayRejected),
        (
            {"content": [{"type": "text", "text": "MCP server error: refused"}], "isError": True},
            UpstreamFailed,
        ),
    ],
)
async def test_a_failure_behind_the_gateway_is_told_from_one_of_the_gateway(
    result: dict[str, object], error: type[Exception]
) -> None:
    async with contextforge(results={ECHO.call_name: result}) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            with pytest.raises(error):
                await gateway.call(ECHO, {}, no_progress)
            fake.results.clear()
            assert not (await gateway.call(ECHO, {}, no_progress)).is_error


async def test_the_answer_to_another_request_is_refused() -> None:
    async with contextforge(wrong_id=True) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            with pytest.raises(GatewayProtocolError, match="another request"):
                await gateway.call(ECHO, {}, no_progress)


async def test_arguments_with_broken_characters_still_reach_the_gateway_as_utf_8() -> None:
    async with contextforge() as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            await gateway.call(ECHO, {"text": "a\ud800b\x00"}, no_progress)
        assert fake.faulty.arrived("/rpc")[0].message["params"]["arguments"] == {"text": "a?b\x00"}


@pytest.mark.alone
async def test_connections_are_kept_and_never_leaked() -> None:
    async with contextforge(slow={ECHO.call_name}) as fake:
        assert fake.loopback is not None
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            for _ in range(5):
                await gateway.list_tools()
            assert fake.loopback.connections == 1
            for _ in range(5):
                with anyio.move_on_after(0.02):
                    await gateway.call(ECHO, {}, no_progress)
            fake.faulty.faults["/v1/tools"] = answer(500, "no")
            for _ in range(5):
                assert not (await gateway.check()).ok
            assert fake.loopback.connections <= 2
        with anyio.fail_after(5):
            while fake.loopback.connections:
                await anyio.lowlevel.checkpoint()
