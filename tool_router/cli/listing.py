"""`tool-router tools` lists the catalog."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tool_router.app import AppContext
from tool_router.catalog.model import Catalog
from tool_router.cli.run import AsJson, Config, print_json, with_app
from tool_router.effect import effect_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tools")(tools)


def tools(
    server: Annotated[str | None, typer.Option("--server", help="Only the tools of this server.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List every tool of the catalog with its server, its effect and whether it can be called."""

    async def work(app: AppContext) -> Catalog:
        await app.keeper.first()
        return app.keeper.snapshot().catalog

    catalog = with_app(config, work)
    rows: list[dict[str, Any]] = [
        {
            "tool": tool.id,
            "server": tool.server,
            "effect": effect_of(tool).label,
            "availability": tool.availability.value,
            "reason": tool.unavailable_reason,
            "description": " ".join(tool.description.split()),
        }
        for tool in catalog.tools
        if server is None or tool.server == server
    ]
    if as_json:
        print_json({"source": catalog.source, "fetched_at": catalog.fetched_at, "tools": rows})
        return
    table = Table(box=None, pad_edge=False)
    for column in ("tool", "effect", "availability"):
        table.add_column(column, no_wrap=column == "tool")
    table.add_column("description", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        table.add_row(row["tool"], row["effect"], row["availability"], row["reason"] or row["description"])
    Console(highlight=False, markup=False).print(table)
    typer.echo(f"{len(rows)} tools of {len({row['server'] for row in rows})} servers", err=True)
