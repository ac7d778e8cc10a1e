"""Every bad answer of an MCP endpoint: the error it becomes, and that the next request works."""

from __future__ import annotations

import anyio
import pytest

from tests.support.loopback import Fault, answer, break_off, never, refusing_url
from tests.support.mcp_http_server import mcp_http_server
from tool_router.catalog.model import Tool
from tool_router.errors import (
    GatewayBusy,
    GatewayError,
    GatewayFailed,
    GatewayProtocolError,
    GatewayRejected,
    GatewayTimeout,
    GatewayUnreachable,
    UpstreamFailed,
)
from tool_router.gateway.mcp_endpoint import McpEndpointGateway
from tool_router.gateway.protocol import no_progress

pytestmark = pytest.mark.anyio

ECHO = Tool(id="test-server::echo", name="echo", server="test-server", call_name="echo")

RPC_ERROR = '{"jsonrpc": "2.0", "id": null, "error": {"code": -32603, "message": "disk full"}}'

FAULTS: list[tuple[str, Fault, type[GatewayError], str]] = [
    ("html", answer(200, "<title>Sign in</title>", "text/html"), GatewayProtocolError, "HTML page (Sign in)"),
    ("half a json", answer(200, '{"jsonrpc": "2.0", "id"'), GatewayProtocolError, "no JSON"),
    ("braces, but no json", answer(200, '{"jsonrpc": }'), GatewayProtocolError, "can't be read"),
    ("nothing", answer(200, ""), GatewayProtocolError, "nothing"),
    ("half an event stream", answer(200, "event: mess", "text/event-stream"), GatewayFailed, "ended"),
    ("401", answer(401, '{"detail": "Invalid credentials"}'), GatewayRejected, "Invalid credentials"),
    ("403", answer(403, "CSRF", "text/plain"), GatewayRejected, "CSRF"),
    ("404", answer(404, '{"detail": "Not Found"}'), GatewayRejected, "404"),
    ("405", answer(405, ""), GatewayRejected, "405"),
    ("413", answer(413, "too large", "text/plain"), GatewayRejected, "too large"),
    ("redirect", answer(307, "", headers={"location": "http://192.0.2.1/mcp"}), GatewayRejected, "192.0.2.1"),
    ("429", answer(429, "{}", headers={"retry-after": "7"}), GatewayBusy, "429"),
    ("500", answer(500, "Internal Server Error", "text/plain"), GatewayFailed, "Internal Server Error"),
    ("502", answer(502, "<title>Bad Gateway</title>", "text/html"), GatewayFailed, "Bad Gateway"),
    ("503 in words of the protocol", answer(503, RPC_ERROR), GatewayFailed, "disk full"),
    ("400 in words of the protocol", answer(400, RPC_ERROR), UpstreamFailed, "disk full"),
    ("broken off mid-answer", break_off(), GatewayFailed, "broke off"),
    ("broken off unanswered", break_off(after_headers=False), GatewayFailed, ""),
    ("never", never, GatewayTimeout, "no answer within 0.3 s"),
]

EVERY_FAULT = pytest.mark.parametrize(
    ("fault", "error", "said"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@EVERY_FAULT
async def test_a_bad_answer_to_a_call_is_explained_and_the_next_call_works(
    mode: str, fault: Fault, error: type[GatewayError], said: str
) -> None:
    async with mcp_http_server() as far:
        gateway = McpEndpointGateway(far.url, mode=mode, call_timeout_s=0.3)
        async with gateway.open():
            await gateway.call(ECHO, {"text": "before"}, no_progress)
            far.faulty.faults["/mcp"] = fault
            with anyio.fail_after(5), pytest.raises(GatewayError) as caught:
                await gateway.call(ECHO, {"text": "during"}, no_progress)
            assert isinstance(caught.value, error)
            assert said in caught.value.tried
            assert caught.value.next_step
            far.faulty.faults.clear()
            await gateway.call(ECHO, {"text": "after"}, no_progress)


@EVERY_FAULT
async def test_a_bad_answer_to_the_first_request_is_explained_and_the_next_one_connects(
    fault: Fault, error: type[GatewayError], said: str
) -> None:
    async with mcp_http_server() as far:
        far.faulty.faults["/mcp"] = fault
        gateway = McpEndpointGateway(far.url, call_timeout_s=0.3)
        async with gateway.open():
            with anyio.fail_after(5), pytest.raises(GatewayError) as caught:
                await gateway.list_tools()
            assert isinstance(caught.value, error)
            assert said in caught.value.tried
            assert caught.value.next_step
            assert not caught.value.reached_tool
            far.faulty.faults.clear()
            assert len(await gateway.list_tools()) > 5


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_a_refusal_is_not_provoked_twice(status: int) -> None:
    async with mcp_http_server() as far:
        far.faulty.faults["/mcp"] = answer(status, "{}")
        gateway = McpEndpointGateway(far.url)
        async with gateway.open():
            assert not (await gateway.check()).ok
        assert len(far.faulty.seen) == 1


async def test_one_bad_answer_leaves_the_other_calls_alone() -> None:
    results: list[object] = []
    async with mcp_http_server() as far:
        gateway = McpEndpointGateway(far.url)
        async with gateway.open(), anyio.create_task_group() as tasks:

            async def wait_slowly() -> None:
                slow = Tool(id="test-server::slow", name="slow", call_name="slow")
                results.append(await gateway.call(slow, {}, no_progress))

            tasks.start_soon(wait_slowly)
            await far.calls.started.wait()
            far.faulty.faults["/mcp"] = break_off(after_headers=False)
            with pytest.raises(GatewayFailed):
                await gateway.call(ECHO, {"text": "x"}, no_progress)
            far.faulty.faults.clear()
            await gateway.call(ECHO, {"text": "x"}, no_progress)
            far.calls.release.set()
    assert len(results) == 1


async def test_an_endpoint_that_refuses_connections_was_provably_not_reached() -> None:
    gateway = McpEndpointGateway(f"{refusing_url()}/mcp")
    async with gateway.open():
        for _ in range(2):
            with pytest.raises(GatewayUnreachable) as caught:
                await gateway.call(ECHO, {}, no_progress)
            assert not caught.value.reached_tool
        health = await gateway.check()
    assert not health.ok
    assert "could not connect" in health.detail


async def test_an_endpoint_that_accepts_and_stays_silent_is_given_up() -> None:
    async with mcp_http_server() as far:
        far.faulty.faults["/mcp"] = never
        gateway = McpEndpointGateway(far.url, connect_timeout_s=0.2)
        async with gateway.open():
            with pytest.raises(GatewayTimeout, match=r"did not speak MCP within 0\.2 s") as caught:
                await gateway.list_tools()
            assert not caught.value.reached_tool


async def test_what_the_callers_block_raises_stays_what_it_is() -> None:
    gateway = McpEndpointGateway(f"{refusing_url()}/mcp")
    with pytest.raises(GatewayUnreachable):
        async with gateway.open():
            await gateway.list_tools()
