"""`tool-router status` shows what the router knows: its catalog, vectors and what it has learned."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import anyio
import typer
from rich.console import Console
from rich.table import Table

from tool_router.cache.assembly import open_store
from tool_router.cache.store import Store
from tool_router.cli.run import FAILED, AsJson, Config, fail, print_json, settings_or_exit
from tool_router.config import Settings
from tool_router.errors import ProviderError, StoreError
from tool_router.location import gateway_key

OUTCOMES_READ = 10_000


@dataclass(frozen=True, slots=True)
class Status:
    """What the store holds for the configured gateway.

    Attributes:
        source: the gateway.
        tools: of its last good catalog; None before the first.
        catalog_age_s: since it was read, in seconds.
        model: the embedding model in use; None where there is none.
        model_reason: why there is none; empty where there is one.
        texts: distinct texts of the catalog that the model embeds.
        texts_embedded: those whose vector is ready.
        outcomes: calls that were recorded, by verdict.
    """

    source: str
    tools: int | None
    catalog_age_s: float | None
    model: str | None
    model_reason: str
    texts: int
    texts_embedded: int
    outcomes: dict[str, int]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(as_json: AsJson = False, config: Config = None) -> None:
    """Show the catalog's age, how many of its vectors are ready, and how many outcomes are known."""
    settings = settings_or_exit(config)
    try:
        found = anyio.run(_read, settings)
    except StoreError as error:
        raise fail(error, FAILED) from error
    if as_json:
        print_json(asdict(found))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in _lines(found):
        table.add_row(name, value)
    Console(highlight=False, markup=False).print(table)


def _lines(found: Status) -> list[tuple[str, str]]:
    if found.tools is None or found.catalog_age_s is None:
        catalog = "not read yet"
    else:
        catalog = f"{found.tools} tools, read {_ago(found.catalog_age_s)}"
    if found.model is None:
        vectors = f"none: {found.model_reason}"
    else:
        share = found.texts_embedded / found.texts if found.texts else 1.0
        vectors = f"{found.texts_embedded} of {found.texts} texts ({share:.0%}) by {found.model}"
    learned = ", ".join(f"{count} {verdict}" for verdict, count in sorted(found.outcomes.items())) or "none"
    return [
        ("gateway", found.source),
        ("catalog", catalog),
        ("vectors", vectors),
        ("outcomes", learned),
    ]


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"


async def _read(settings: Settings) -> Status:
    source = gateway_key(settings, os.environ)
    async with open_store(settings, os.environ) as store:
        catalog = await store.load_catalog(source)
        outcomes = await store.outcomes(source, OUTCOMES_READ)
        vectors = await _vectors(settings, store, catalog)
    verdicts: Counter[str] = Counter(outcome.verdict.value for outcome in outcomes)
    return Status(
        source,
        len(catalog.tools) if catalog else None,
        max(0.0, time.time() - catalog.fetched_at) if catalog else None,
        **vectors,
        outcomes=dict(verdicts),
    )


async def _vectors(settings: Settings, store: Store, catalog: Any) -> dict[str, Any]:
    """The part of the status that is about vectors; asks the provider which model it uses."""
    if not (settings.relevance.enabled and settings.relevance.embed):
        return {"model": None, "model_reason": "embeddings are turned off", "texts": 0, "texts_embedded": 0}
    from tool_router.ai.assembly import build_provider
    from tool_router.ai.vectors import text_keys

    provider = build_provider(settings, os.environ)
    try:
        with anyio.fail_after(5):
            model = await provider.embedding_model()
    except ProviderError as error:
        return {"model": None, "model_reason": str(error), "texts": 0, "texts_embedded": 0}
    except TimeoutError:
        reason = f"{provider.name} did not answer within 5 s"
        return {"model": None, "model_reason": reason, "texts": 0, "texts_embedded": 0}
    finally:
        await provider.aclose()
    keys = list(text_keys(catalog, model).texts) if catalog else []
    ready = await store.vectors(model.key, keys) if keys else {}
    return {"model": model.name, "model_reason": "", "texts": len(keys), "texts_embedded": len(ready)}
