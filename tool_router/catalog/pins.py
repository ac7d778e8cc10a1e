"""Pins: what each tool said when it was first seen, or when a person last accepted it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tool_router.cache.store import Store
from tool_router.catalog.suspicion import Suspicion, Words, new_pins, suspicions


async def pin_new(source: str, words: Words, store: Store) -> None:
    """Pin the tools of a gateway that were never seen before, except suspicious ones.

    Raises:
        StoreError: the pins can't be read or written.
    """
    fresh = new_pins(words, await store.pins(source))
    if fresh:
        await store.pin(source, fresh)


async def review(source: str, words: Words, store: Store) -> tuple[Suspicion, ...]:
    """What a person should look at: changed tools, hidden characters, orders to the model.

    Raises:
        StoreError: the pins can't be read.
    """
    return suspicions(words, await store.pins(source))


async def accept(source: str, words: Words, store: Store, tool_ids: Collection[str]) -> None:
    """Pin tools as they are now, in place of what was pinned before.

    Raises:
        StoreError: the pins can't be written.
    """
    now = {tool_id: fingerprint for tool_id, fingerprint in words.fingerprints.items() if tool_id in tool_ids}
    await store.pin(source, now, accept=True)


def reasons(found: Collection[Suspicion]) -> Mapping[str, str]:
    """Why each flagged tool is flagged, in words, by tool id."""
    told: dict[str, list[str]] = {}
    for one in found:
        told.setdefault(one.tool_id, []).append(in_words(one))
    return {tool_id: "; ".join(parts) for tool_id, parts in told.items()}


def in_words(found: Suspicion) -> str:
    """One finding as a person reads it."""
    return found.concern.in_words.format(evidence=found.evidence)
