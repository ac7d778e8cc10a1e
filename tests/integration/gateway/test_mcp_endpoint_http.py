"""Any MCP server over Streamable HTTP as a gateway, in both protocol eras."""

from __future__ import annotations

import anyio
import pytest
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ImageContent, TextContent

from tests.support.loopback import refusing_url
from tests.support.mcp_http_server import Calls, build_server, mcp_http_server, raw_mcp_server
from tool_router.catalog.model import Tool
from tool_router.errors import ConfigError, GatewayProtocolError, GatewayUnreachable
from tool_router.gateway.mcp_endpoint import McpEndpointGateway
from tool_router.gateway.protocol import Gateway, no_progress

pytestmark = pytest.mark.anyio

ERAS = ["auto", "legacy"]


def tool(name: str) -> Tool:
    return Tool(id=f"test-server::{name}", name=name, server="test-server", call_name=name)


def text_of(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


def test_it_is_a_gateway_whose_key_holds_no_secret() -> None:
    over_http = McpEndpointGateway("http://127.0.0.1:8000/mcp?key=secret", token="secret")
    over_stdio = McpEndpointGateway(command=["server", "--key", "secret"])
    assert isinstance(over_http, Gateway)
    assert "secret" not in over_http.key + over_stdio.key
    assert over_http.key != McpEndpointGateway("http://127.0.0.1:8000/mcp?key=other").key
    assert over_stdio.key != McpEndpointGateway(command=["server", "--key", "other"]).key


@pytest.mark.parametrize(
    ("url", "command"), [("", ()), ("http://127.0.0.1/mcp", ("server",)), ("", ("",)), ("no address", ())]
)
def test_exactly_one_far_side_must_be_named(url: str, command: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        McpEndpointGateway(url, command=command)


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("json_response", [False, True])
async def test_tools_are_listed_and_called(mode: str, *, json_response: bool) -> None:
    async with mcp_http_server(json_response=json_response) as far:
        gateway = McpEndpointGateway(far.url, mode=mode)
        async with gateway.open():
            assert far.faulty.seen == []
            tools = {item.name: item for item in await gateway.list_tools()}
            echoed = await gateway.call(tools["echo"], {"text": "hällo"}, no_progress)
            weather = await gateway.call(tools["structured"], {"place": "Riga"}, no_progress)
            picture = await gateway.call(tools["image"], {}, no_progress)
            failed = await gateway.call(tools["error"], {"message": "no such row"}, no_progress)
            health = await gateway.check()
    assert tools["echo"].id == "test-server::echo"
    assert tools["echo"].title == "Echo"
    assert tools["echo"].hints.read_only is True
    assert tools["destroy"].hints.destructive is True
    assert text_of(echoed) == "hällo"
    assert weather.structured_content == {"place": "Riga", "degrees": 21.5}
    assert isinstance(picture.content[0], ImageContent)
    assert failed.is_error
    assert "no such row" in text_of(failed)
    assert health.ok
    versions = {seen.headers.get("mcp-protocol-version") for seen in far.faulty.seen}
    assert ("2026-07-28" in versions) is (mode == "auto")


@pytest.mark.parametrize("mode", ERAS)
async def test_progress_reaches_the_caller_while_the_call_runs(mode: str) -> None:
    steps: list[tuple[float, float | None, str | None]] = []

    async def relay(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    async with mcp_http_server() as far:
        gateway = McpEndpointGateway(far.url, mode=mode)
        async with gateway.open():
            result = await gateway.call(tool("progress"), {"steps": 3}, relay)
    assert text_of(result) == "3 steps"
    assert steps == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


@pytest.mark.parametrize("mode", ERAS)
async def test_a_cancelled_call_is_cancelled_upstream_and_the_connection_lives_on(mode: str) -> None:
    async with mcp_http_server() as far:
        gateway = McpEndpointGateway(far.url, mode=mode)
        async with gateway.open():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gateway.call, tool("slow"), {"unused": 1}, no_progress)
                await far.calls.started.wait()
                tasks.cancel_scope.cancel()
            with anyio.fail_after(5):
                await far.calls.cancelled.wait()
            before = len(far.faulty.seen)
            assert text_of(await gateway.call(tool("echo"), {"text": "still here"}, no_progress))
    # Neither a probe nor a handshake was needed for it.
    methods = [seen.message.get("method") for seen in far.faulty.seen[before:] if seen.method == "POST"]
    assert methods == ["tools/call"]


async def test_a_caller_cancelled_while_the_connection_opens_leaves_it_to_the_others() -> None:
    async with mcp_http_server() as far:
        gateway = McpEndpointGateway(far.url)
        async with gateway.open(), anyio.create_task_group() as tasks:
            hasty = anyio.CancelScope()

            async def leave() -> None:
                with hasty:
                    await gateway.list_tools()

            tasks.start_soon(leave)
            await anyio.lowlevel.checkpoint()
            hasty.cancel()
            assert len(await gateway.list_tools()) > 5
    assert [seen.message["method"] for seen in far.faulty.seen].count("server/discover") == 1


async def test_calls_that_run_at_once_get_their_own_answers() -> None:
    got: dict[int, str] = {}
    async with mcp_http_server() as far:
        gateway = McpEndpointGateway(far.url)

        async def one(number: int) -> None:
            got[number] = text_of(await gateway.call(tool("echo"), {"text": f"{number}"}, no_progress))

        async with gateway.open(), anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(one, number)
    assert got == {number: str(number) for number in range(30)}


@pytest.mark.parametrize("mode", ERAS)
async def test_an_answer_of_megabytes_arrives_whole(mode: str) -> None:
    async with mcp_http_server() as far:
        gateway = McpEndpointGateway(far.url, mode=mode)
        async with gateway.open():
            result = await gateway.call(tool("huge"), {"kilobytes": 3000}, no_progress)
    assert len(text_of(result)) == 3000 * 1024


@pytest.mark.parametrize("mode", ERAS)
async def test_what_a_server_says_of_a_tool_it_does_not_have_is_passed_on(mode: str) -> None:
    async with mcp_http_server() as far:
        gateway = McpEndpointGateway(far.url, mode=mode)
        async with gateway.open():
            result = await gateway.call(tool("nope"), {}, no_progress)
    assert result.is_error
    assert "nope" in text_of(result)


@pytest.mark.parametrize("mode", ERAS)
async def test_a_server_that_was_restarted_is_connected_to_anew(mode: str) -> None:
    address = refusing_url()
    port = int(address.rpartition(":")[2])
    gateway = McpEndpointGateway(f"{address}/mcp", mode=mode)
    async with gateway.open():
        async with mcp_http_server(port=port):
            assert text_of(await gateway.call(tool("echo"), {"text": "a"}, no_progress)) == "a"
        async with mcp_http_server(port=port):
            assert text_of(await gateway.call(tool("echo"), {"text": "b"}, no_progress)) == "b"
        with pytest.raises(GatewayUnreachable):
            await gateway.call(tool("echo"), {"text": "c"}, no_progress)
        async with mcp_http_server(port=port):
            assert text_of(await gateway.call(tool("echo"), {"text": "d"}, no_progress)) == "d"


@pytest.mark.parametrize("mode", ERAS)
async def test_the_caller_is_told_that_the_tools_have_changed(mode: str) -> None:
    changed = anyio.Event()
    calls = Calls()
    server = build_server(calls)

    @server.tool()
    async def grow(ctx: Context) -> str:
        """Say that the tools have changed."""
        if mode == "legacy":
            await ctx.session.send_tool_list_changed()
        else:
            await ctx.notify_tools_changed()
        return "grown"

    async with mcp_http_server(server, calls) as far:
        gateway = McpEndpointGateway(far.url, mode=mode, on_change=changed.set)
        async with gateway.open():
            await gateway.list_tools()
            with anyio.fail_after(5):
                while not changed.is_set():
                    # The stream that carries the news is opened beside the first request.
                    await gateway.call(tool("grow"), {}, no_progress)


async def test_one_odd_tool_does_not_lose_the_others() -> None:
    rows = [
        {"name": "anything", "inputSchema": True},
        {"name": "fine", "inputSchema": {"type": "object"}},
        {"name": "fine", "inputSchema": {"type": "object"}},
        {"name": "circle", "inputSchema": {"type": "object", "$ref": "#"}},
        {"name": "broken", "inputSchema": {"type": "no such type"}, "annotations": "loud"},
        {"inputSchema": {"type": "object"}},
    ]
    async with raw_mcp_server([rows]) as url:
        gateway = McpEndpointGateway(url, mode="legacy")
        async with gateway.open():
            tools = await gateway.list_tools()
    assert sorted(item.name for item in tools) == ["anything", "broken", "circle", "fine", "fine"]
    schemas = {item.name: item.input_schema for item in tools}
    assert schemas["anything"] is True
    assert schemas["circle"] == {"type": "object", "$ref": "#"}
    assert not any(item.available for item in tools if item.name == "fine")


@pytest.mark.parametrize("count", [0, 1, 7])
async def test_every_page_is_read(count: int) -> None:
    pages = [[{"name": f"tool{number}", "inputSchema": {"type": "object"}}] for number in range(count)]
    async with raw_mcp_server(pages or [[]]) as url:
        gateway = McpEndpointGateway(url, mode="legacy")
        async with gateway.open():
            tools = await gateway.list_tools()
    assert [item.name for item in tools] == [f"tool{number}" for number in range(count)]


async def test_a_listing_that_goes_round_in_circles_is_an_error() -> None:
    pages = [[{"name": "again", "inputSchema": {"type": "object"}}]] * 3
    async with raw_mcp_server(pages, endless=True) as url:
        gateway = McpEndpointGateway(url, mode="legacy")
        async with gateway.open():
            with pytest.raises(GatewayProtocolError, match="never end"):
                await gateway.list_tools()
