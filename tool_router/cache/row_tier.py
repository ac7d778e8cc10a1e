"""The decisions that outlive a run, as rows of the persistent store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import structlog

from tool_router.errors import StoreError


class DecisionRows(Protocol):
    """A store that keeps decisions; it prunes them by age and count."""

    async def decision(self, key: str) -> bytes | None:
        """What is stored under a key and not too old, or None.

        Raises:
            StoreError: the store failed.
        """
        ...

    async def save_decisions(self, decisions: Mapping[str, bytes]) -> None:
        """Add decisions by key; one with a known key replaces it.

        Raises:
            StoreError: the store failed.
        """
        ...


class RowTier:
    """The tier of the persistent store; a store that fails is a miss, said once until it works again.

    Args:
        rows: the store. Whoever opened it closes it.
    """

    name = "store"

    def __init__(self, rows: DecisionRows) -> None:
        self._rows = rows
        self._failures = 0
        self._failing = False

    @property
    def failures(self) -> int:
        """How often the store could not be asked or written."""
        return self._failures

    async def get(self, key: str) -> bytes | None:
        """What is stored under a key; None when there is nothing, or the store fails."""
        try:
            found = await self._rows.decision(key)
        except StoreError as error:
            self._note(error)
            return None
        self._failing = False
        return found

    async def put(self, entries: Mapping[str, bytes]) -> None:
        """Store entries; those that can't be written are dropped."""
        try:
            await self._rows.save_decisions(entries)
        except StoreError as error:
            self._note(error)
        else:
            self._failing = False

    async def aclose(self) -> None:
        """Nothing: the store is not this tier's own."""

    def _note(self, error: StoreError) -> None:
        self._failures += 1
        if not self._failing:
            self._failing = True
            structlog.get_logger().warning("decisions_not_stored", reason=str(error))
