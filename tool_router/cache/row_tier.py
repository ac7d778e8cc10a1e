"""The decisions that outlive a run, as rows of the persistent store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import anyio
import structlog

from tool_router.cache.rest import Rest
from tool_router.errors import StoreError

GET_S = 0.08
"""Longest a lookup takes; a store that needs longer is no faster than ranking."""
WRITE_S = 8.0
"""Longer than any kind of store takes to write or give up."""


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
    """The tier of the persistent store; a store that fails is left alone for a while, and that is said once.

    Args:
        rows: the store. Whoever opened it closes it.
        clock: monotonic, in seconds.
    """

    name = "store"

    def __init__(self, rows: DecisionRows, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rows = rows
        self._rest = Rest(clock)
        self._failures = 0
        self._said = False

    @property
    def failures(self) -> int:
        """How often the store could not be asked or written."""
        return self._failures

    async def get(self, key: str) -> bytes | None:
        """What is stored under a key; None when there is nothing, or the store does not answer in time."""
        if not self._rest.may_try(GET_S):
            return None
        try:
            with anyio.fail_after(GET_S):
                found = await self._rows.decision(key)
        except StoreError as error:
            self._failed(error)
            return None
        except TimeoutError:
            # Busy with other work, or hanging; the latter is said when something is to be written.
            self._failed()
            return None
        self._worked()
        return found

    async def put(self, entries: Mapping[str, bytes]) -> None:
        """Store entries; those that can't be written are dropped."""
        if not self._rest.may_try(WRITE_S):
            return
        try:
            await self._rows.save_decisions(entries)
        except StoreError as error:
            self._failed(error)
        else:
            self._worked()

    async def aclose(self) -> None:
        """Nothing: the store is not this tier's own."""

    def _worked(self) -> None:
        self._rest.worked()
        self._said = False

    def _failed(self, error: StoreError | None = None) -> None:
        self._failures += 1
        self._rest.failed()
        if error is not None and not self._said:
            self._said = True
            structlog.get_logger().warning("decisions_not_stored", reason=str(error))
