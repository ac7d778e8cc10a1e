"""`tool-router pins` shows which tools' words a person should look at, and accepts them as they are."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import anyio
import typer

from tool_router.cache.assembly import open_store
from tool_router.cache.store import Store
from tool_router.catalog.find import find
from tool_router.catalog.model import Catalog
from tool_router.catalog.pins import accept as accept_pins
from tool_router.catalog.pins import in_words, review
from tool_router.catalog.suspicion import Suspicion, Words, read_words
from tool_router.catalog.untrusted import plain
from tool_router.cli.run import FAILED, WRONG_USE, AsJson, Config, fail, print_json, settings_or_exit
from tool_router.config import Settings
from tool_router.errors import AmbiguousTool, StoreError, ToolRouterError, UnknownTool
from tool_router.location import gateway_key

T = TypeVar("T")

_DESCRIPTION_CHARS = 400
"""What is shown of a description: enough to see what it is about; --json has the whole."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The catalog that was read last, and what is suspicious in it."""

    catalog: Catalog
    words: Words
    found: tuple[Suspicion, ...]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    pins = typer.Typer(help="Tools whose words are suspicious, or changed since they were accepted.")
    pins.command("list")(list_)
    pins.command("accept")(accept)
    app.add_typer(pins, name="pins")


def list_(as_json: AsJson = False, config: Config = None) -> None:
    """Show the flagged tools of the catalog as it was last read, with what they say now."""
    reviewed = _with_store(config, look)
    rows = rows_of(reviewed)
    if as_json:
        print_json({"source": reviewed.catalog.source, "flagged": rows})
        return
    for row in rows:
        typer.echo(row["tool"])
        for why in row["why"]:
            typer.echo(f"  {why}")
        typer.echo(f"  it says: {plain(row['description'], _DESCRIPTION_CHARS) or '(nothing)'}")
    count = len(reviewed.catalog.tools)
    typer.echo(f"{len(rows)} of {count} tools flagged", err=True)
    if not count:
        typer.echo("No catalog was read yet: run `tool-router tools`.", err=True)
    elif rows:
        typer.echo("If that is as it should be: tool-router pins accept NAME...", err=True)


def accept(
    names: Annotated[list[str] | None, typer.Argument(help="The tools, by id.", metavar="NAME...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every flagged tool.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Accept what flagged tools say now; a running router knows with its next look at the catalog."""
    if bool(names) is everything:
        raise fail(
            ToolRouterError("Say which tools to accept.", "Name them, or give --all; see `pins list`."),
            WRONG_USE,
        )

    async def work(settings: Settings, store: Store) -> Sequence[str]:
        reviewed = await look(settings, store)
        flagged = list(dict.fromkeys(one.tool_id for one in reviewed.found))
        chosen = flagged if everything else [find(reviewed.catalog, name).id for name in names or ()]
        await accept_pins(reviewed.catalog.source, reviewed.words, store, chosen)
        return chosen

    accepted = _with_store(config, work)
    if as_json:
        print_json({"accepted": list(accepted)})
        return
    for tool_id in accepted:
        typer.echo(f"accepted {tool_id}")
    if not accepted:
        typer.echo("Nothing is flagged.", err=True)


async def look(settings: Settings, store: Store) -> Reviewed:
    """Judge the catalog of the settings' gateway as it was last read.

    Raises:
        StoreError: the store can't be read.
    """
    source = gateway_key(settings, os.environ)
    catalog = await store.load_catalog(source) or Catalog(source=source)
    words = await anyio.to_thread.run_sync(read_words, catalog)
    return Reviewed(catalog, words, await review(source, words, store))


def rows_of(reviewed: Reviewed) -> list[dict[str, Any]]:
    """The flagged tools, each once."""
    rows: dict[str, dict[str, Any]] = {}
    for one in reviewed.found:
        tool = reviewed.catalog.by_id[one.tool_id]
        row = rows.setdefault(
            tool.id, {"tool": tool.id, "concerns": [], "why": [], "description": tool.description}
        )
        row["concerns"].append(one.concern.value)
        row["why"].append(in_words(one))
    return list(rows.values())


def _with_store(config: Any, work: Callable[[Settings, Store], Awaitable[T]]) -> T:
    settings = settings_or_exit(config)

    async def main() -> T | ToolRouterError:
        try:
            async with open_store(settings, os.environ) as store:
                return await work(settings, store)
        except (UnknownTool, AmbiguousTool, StoreError) as error:
            return error

    outcome = anyio.run(main)
    if isinstance(outcome, ToolRouterError):
        raise fail(outcome, FAILED if isinstance(outcome, StoreError) else WRONG_USE) from outcome
    return outcome
