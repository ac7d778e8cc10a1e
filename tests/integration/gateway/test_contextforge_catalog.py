"""Reading ContextForge's catalog over HTTP: whole, whatever the page size, and nothing lost."""

from __future__ import annotations

import pytest

from tests.support.gateway_server import TOKEN, catalog, contextforge, row
from tool_router.catalog.model import Availability
from tool_router.errors import GatewayProtocolError
from tool_router.gateway.contextforge import ContextForgeGateway

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("count", [0, 1, 50, 500, 501, 1201])
async def test_the_catalog_is_read_whole_whatever_its_size(count: int) -> None:
    async with contextforge(rows=catalog(count)) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            tools = await gateway.list_tools()
    assert len({tool.id for tool in tools}) == len(tools) == count
    assert [tool.name for tool in tools] == [f"tool_{number}" for number in range(count)]


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("pages", [True, False])
async def test_older_releases_are_read_whole_too(*, versioned: bool, pages: bool) -> None:
    async with contextforge(rows=catalog(60), versioned=versioned, pages=pages) as fake:
        gateway = ContextForgeGateway(f"{fake.url}/", TOKEN)
        async with gateway.open():
            assert len(await gateway.list_tools()) == 60
            asked = len(fake.faulty.seen)
            assert len(await gateway.list_tools()) == 60
        again = fake.faulty.seen[asked:]
    # The path that worked is remembered.
    assert {request.path for request in again} == {"/v1/tools" if versioned else "/tools"}


@pytest.mark.parametrize("cursor", ["not-a-cursor", "eyJvZmZzZXQiOiA1MDB9"])
async def test_a_listing_that_goes_round_in_circles_is_an_error(cursor: str) -> None:
    async with contextforge(rows=catalog(1201), stuck_cursor=cursor) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            with pytest.raises(GatewayProtocolError, match="never ends"):
                await gateway.list_tools()
            assert len(fake.faulty.seen) <= 4
            fake.stuck_cursor = ""
            assert len(await gateway.list_tools()) == 1201


async def test_tools_that_can_not_be_called_are_listed_with_the_reason() -> None:
    rows = [
        row("fine"),
        row("off", enabled=False),
        row("far", reachable=False),
        row("old", deprecated=True),
    ]
    async with contextforge(rows=rows) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            tools = {tool.name: tool for tool in await gateway.list_tools()}
    assert {name: tool.availability for name, tool in tools.items()} == {
        "fine": Availability.AVAILABLE,
        "off": Availability.DISABLED,
        "far": Availability.UNREACHABLE,
        "old": Availability.DISABLED,
    }
    assert all(tool.unavailable_reason for name, tool in tools.items() if name != "fine")


async def test_odd_rows_lose_nothing_but_themselves() -> None:
    rows = [
        row("twin"),
        row("twin", id="another-row"),
        row("nameless", name=""),
        row("anything", inputSchema=True),
        row("nothing", inputSchema=False),
        row("circle", inputSchema={"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#"}}}),
        row("invalid", inputSchema={"type": "no such type", "properties": 7}),
        row("unicode", description="\ud800 broken"),
        row("last"),
    ]
    async with contextforge(rows=rows) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            tools = await gateway.list_tools()
    names = [tool.name for tool in tools]
    assert names == ["twin", "twin", "anything", "nothing", "circle", "invalid", "unicode", "last"]
    assert len({tool.id for tool in tools}) == len(tools)
    assert tools[2].input_schema is True
    assert tools[6].description == "? broken"


async def test_an_unchanged_catalog_is_not_sent_again_where_etags_are_offered() -> None:
    async with contextforge(rows=catalog(600), etags=True) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            first = await gateway.list_tools()
            second = await gateway.list_tools()
            assert [bool(seen.headers.get("if-none-match")) for seen in fake.faulty.seen] == [
                False,
                False,
                True,
                True,
            ]
            fake.rows[0]["description"] = "Changed."
            third = await gateway.list_tools()
    assert first == second
    assert third[0].description == "Changed."
    assert third[1:] == first[1:]
