"""Pins: what each tool said when it was first seen, or when a person last accepted it."""

from __future__ import annotations

from collections.abc import Collection

from anyio import to_thread

from tool_router.cache.store import Store
from tool_router.catalog.model import Catalog, text_fingerprint
from tool_router.catalog.suspicion import Suspicion, new_pins, suspicions


async def pin_new(catalog: Catalog, store: Store) -> None:
    """Pin the tools of a catalog that were never seen before.

    Raises:
        StoreError: the pins can't be read or written.
    """
    pins = await store.pins(catalog.source)
    fresh = await to_thread.run_sync(new_pins, catalog, pins)
    if fresh:
        await store.pin(catalog.source, fresh)


async def review(catalog: Catalog, store: Store) -> tuple[Suspicion, ...]:
    """What a person should look at: changed tools, hidden characters, orders to the model.

    Raises:
        StoreError: the pins can't be read.
    """
    pins = await store.pins(catalog.source)
    return await to_thread.run_sync(suspicions, catalog, pins)


async def accept(catalog: Catalog, store: Store, tool_ids: Collection[str]) -> None:
    """Pin tools as they are now, in place of what was pinned before.

    Raises:
        StoreError: the pins can't be written.
    """
    wanted = set(tool_ids)
    now = {tool.id: text_fingerprint(tool) for tool in catalog.tools if tool.id in wanted}
    await store.pin(catalog.source, now, accept=True)
