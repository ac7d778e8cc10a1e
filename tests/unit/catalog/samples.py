"""Tools and catalogs for the tests of this area."""

from __future__ import annotations

from typing import Any

from tool_router.catalog.model import Catalog, Tool, tool_id


def a_tool(name: str, server: str = "files", description: str = "", **fields: Any) -> Tool:
    return Tool(id=tool_id(server, name), name=name, server=server, description=description, **fields)


def a_catalog(*tools: Tool, source: str = "scripted:test", fetched_at: float = 1000.0) -> Catalog:
    return Catalog(tools, fetched_at, source)


def servers(count: int, tools_each: int = 3) -> Catalog:
    """A catalog of `count` servers whose names and tools can be told apart."""
    return a_catalog(
        *(
            a_tool(f"{verb}_{noun}{server}", f"server{server:03d}")
            for server in range(count)
            for verb, noun in [("get", "invoice"), ("create", "ticket"), ("delete", "page")][:tools_each]
        )
    )
