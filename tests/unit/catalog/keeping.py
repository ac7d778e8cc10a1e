"""A keeper at work, with its clock and its dice fixed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.scripted_gateway import ScriptedGateway
from tool_router.cache.store import Store
from tool_router.catalog.keeper import CatalogKeeper
from tool_router.catalog.model import Catalog

NOW = 5000.0


@asynccontextmanager
async def keeping(
    gateway: ScriptedGateway, *, stored: Catalog | None = None, store: Store | None = None, **options: Any
) -> AsyncGenerator[CatalogKeeper]:
    async with Store.open(None) as in_memory:
        kept_in = store or in_memory
        if stored is not None:
            await kept_in.save_catalog(stored, "stored words")
        options = {"clock": lambda: NOW, "jitter": lambda: 1.0, **options}
        keeper = CatalogKeeper(gateway, kept_in, **options)
        async with keeper.run():
            yield keeper


def ids(keeper: CatalogKeeper) -> list[str]:
    return [tool.name for tool in keeper.snapshot().catalog.tools]
