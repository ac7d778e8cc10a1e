"""Keeps the catalog: the stored one at once, a fresh one in the background, the last good one always."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import structlog
from anyio import to_thread
from anyio.abc import TaskGroup

from tool_router.cache.store import Store
from tool_router.catalog.backoff import backoff_s
from tool_router.catalog.describe import describe as describe_catalog
from tool_router.catalog.model import Catalog
from tool_router.catalog.pins import pin_new, reasons, review
from tool_router.catalog.snapshot import IndexBuilder, Prepared, Snapshot, build_keyword_index, prepare
from tool_router.catalog.suspicion import suspicions
from tool_router.errors import GatewayBusy, GatewayError, GatewayProtocolError, GatewayTimeout, StoreError
from tool_router.gateway.protocol import Gateway

_FIRST_RETRY_S = 1.0
_JITTER = 0.1
"""A refresh comes up to a tenth earlier or later, so that routers started together spread out."""

_SHOWN_IDS = 5


@dataclass(eq=False, slots=True)
class _Flight:
    """One refresh that any number of callers wait for."""

    done: anyio.Event = field(default_factory=anyio.Event)


class CatalogKeeper:
    """The catalog of one gateway, kept current while `run` is open."""

    def __init__(
        self,
        gateway: Gateway,
        store: Store,
        *,
        refresh_s: float = 60.0,
        list_timeout_s: float = 60.0,
        on_change: Callable[[Catalog], None] | None = None,
        describe: Callable[[Catalog], str] = describe_catalog,
        build_index: IndexBuilder = build_keyword_index,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Prepare a keeper; nothing is read before `run`.

        Args:
            gateway: what to list.
            store: where the last good catalog is kept.
            refresh_s: seconds between two readings.
            list_timeout_s: seconds a reading may take.
            on_change: called with every catalog whose tools differ from the one before, the stored one
                included; returns at once and does not raise.
            describe: writes the description of ``execute_task``.
            build_index: builds the keyword index.
            clock: Unix time, for ages; waiting goes by the event loop's clock.
            jitter: a random number in [0, 1).
        """
        self._gateway = gateway
        self._store = store
        self._refresh_s = refresh_s
        self._list_timeout_s = list_timeout_s
        self._on_change = on_change
        self._describe = describe
        self._build_index = build_index
        self._clock = clock
        self._jitter = jitter
        self._log = structlog.get_logger()
        self._prepared: Prepared | None = None
        self._flagged: Mapping[str, str] = {}
        self._error: GatewayError | None = None
        self._confirmed = False
        self._failures = 0
        self._empty_listings = 0
        self._rest_until = 0.0
        self._flight: _Flight | None = None
        self._tasks: TaskGroup | None = None
        self._loaded = anyio.Event()
        self._first = anyio.Event()

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        """Load the stored catalog and refresh it in the background until the block is left.

        Returns at once: `first` waits for a catalog.
        """
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._load)
            tasks.start_soon(self._refresh_forever)
            try:
                yield
            finally:
                self._tasks = None
                tasks.cancel_scope.cancel()

    def snapshot(self) -> Snapshot:
        """The catalog as it is now, empty when there is none yet; never waits."""
        prepared = self._prepared
        if prepared is None:
            empty = Catalog(source=self._gateway.key)
            prepared = Prepared(empty, self._build_index(()), self._describe(empty))
        return Snapshot(
            catalog=prepared.catalog,
            index=prepared.index,
            description=prepared.description,
            stale=not self._confirmed,
            age_s=max(0.0, self._clock() - prepared.catalog.fetched_at),
            error=self._error,
            flagged=self._flagged,
        )

    async def first(self) -> None:
        """Wait until there is a catalog, stored or fetched.

        Raises:
            GatewayError: there is none, and reading one failed.
        """
        if self._first.is_set() and self._prepared is None:
            await self.refresh()
        await self._first.wait()
        if self._prepared is None and self._error is not None:
            raise self._error

    async def refresh(self) -> Snapshot:
        """Read the gateway now, or join the reading that is under way; look at the snapshot's `error`.

        A cancelled caller does not cancel it for the others. While the gateway rests (429) nothing is sent.

        Raises:
            RuntimeError: `run` is not open.
        """
        if self._tasks is None:
            raise RuntimeError("the keeper does not run")
        if self._flight is None:
            if anyio.current_time() < self._rest_until:
                return self.snapshot()
            self._flight = _Flight()
            self._tasks.start_soon(self._fly, self._flight)
        await self._flight.done.wait()
        return self.snapshot()

    async def _refresh_forever(self) -> None:
        while True:
            await self.refresh()
            await anyio.sleep(self._wait_s())

    def _wait_s(self) -> float:
        rest_s = self._rest_until - anyio.current_time()
        if self._failures:
            delay = backoff_s(
                self._failures,
                first_s=min(_FIRST_RETRY_S, self._refresh_s),
                limit_s=self._refresh_s,
                jitter=self._jitter(),
            )
            return max(delay, rest_s)
        return max(self._refresh_s * (1 - _JITTER + 2 * _JITTER * self._jitter()), rest_s)

    async def _load(self) -> None:
        """Publish the stored catalog, if there is one."""
        try:
            stored = await self._store.load_catalog(self._gateway.key)
            if stored is not None:
                prepared = await self._prepare(stored)
                await self._flag(prepared)
                self._publish(prepared)
                self._log.info("catalog_loaded", tools=len(prepared.catalog.tools), source=stored.source)
        except StoreError as error:
            self._log.warning("catalog_not_loaded", reason=str(error))
        finally:
            self._loaded.set()

    async def _fly(self, flight: _Flight) -> None:
        try:
            prepared = await self._fetch()
            await self._flag(prepared)
        except GatewayError as error:
            prepared = None
            self._note_failure(error)
        else:
            self._note_success(prepared)
        finally:
            self._flight = None
            flight.done.set()
        self._first.set()
        if prepared is not None:
            await self._save(prepared)

    async def _fetch(self) -> Prepared:
        """Read the gateway's catalog and compute what is needed of it.

        Raises:
            GatewayError: it could not be read, or is not to be believed yet.
        """
        try:
            with anyio.fail_after(self._list_timeout_s):
                tools = tuple(await self._gateway.list_tools())
        except TimeoutError as error:
            raise GatewayTimeout(
                f"The gateway did not list its tools within {self._list_timeout_s:.0f} s.",
                "Run `tool-router doctor`.",
            ) from error
        await self._loaded.wait()
        self._doubt_empty(len(tools))
        return await self._prepare(Catalog(tools, self._clock(), self._gateway.key))

    def _doubt_empty(self, count: int) -> None:
        """Believe an empty listing after a full one only the second time: a gateway that restarts gives one.

        Raises:
            GatewayError: it was the first.
        """
        self._empty_listings = 0 if count else self._empty_listings + 1
        known = len(self._prepared.catalog.tools) if self._prepared is not None else 0
        if known and self._empty_listings == 1:
            raise GatewayProtocolError(
                f"The gateway suddenly lists no tools; the {known} known ones are kept.",
                "It is asked again shortly.",
            )

    async def _prepare(self, catalog: Catalog) -> Prepared:
        try:
            return await to_thread.run_sync(
                prepare, catalog, self._prepared, self._describe, self._build_index, abandon_on_cancel=True
            )
        except RecursionError as error:
            raise GatewayProtocolError(
                "A tool's schema is nested too deeply to be read.", "Look for it at the gateway."
            ) from error

    async def _flag(self, prepared: Prepared) -> None:
        """Compare the tools with their pins, which a person may have changed meanwhile."""
        try:
            found = await review(prepared.catalog.source, prepared.words, self._store)
        except StoreError as error:
            found = suspicions(prepared.words, {})
            self._log.warning("pins_not_read", reason=str(error))
        before, self._flagged = self._flagged, reasons(found)
        if fresh := [tool_id for tool_id in self._flagged if tool_id not in before]:
            self._log.warning(
                "tools_flagged", count=len(fresh), ids=fresh[:_SHOWN_IDS], next_step="tool-router pins list"
            )

    def _publish(self, prepared: Prepared) -> None:
        previous, self._prepared = self._prepared, prepared
        self._first.set()
        changed = previous is None or prepared.catalog.fingerprint != previous.catalog.fingerprint
        if prepared.dropped:
            self._log.warning(
                "catalog_has_duplicate_ids", count=len(prepared.dropped), ids=prepared.dropped[:_SHOWN_IDS]
            )
        if changed and self._on_change is not None:
            self._on_change(prepared.catalog)

    def _note_success(self, prepared: Prepared) -> None:
        if self._failures:
            self._log.info("catalog_refresh_recovered", failures=self._failures)
        self._failures, self._error, self._confirmed = 0, None, True
        change = prepared.change
        if change:
            self._log.info(
                "catalog_changed",
                tools=len(prepared.catalog.tools),
                added=len(change.added),
                removed=len(change.removed),
                changed=len(change.changed),
                ids=(change.added + change.removed + change.changed)[:_SHOWN_IDS],
            )
        self._publish(prepared)

    def _note_failure(self, error: GatewayError) -> None:
        self._failures += 1
        self._confirmed = False
        if isinstance(error, GatewayBusy):
            self._rest_until = anyio.current_time() + error.retry_after_s
        # One line for each new reason; a gateway that is down for a night says so once.
        if self._error is None or str(error) != str(self._error):
            self._log.warning("catalog_refresh_failed", kind=type(error).__name__, reason=str(error))
        self._error = error

    async def _save(self, prepared: Prepared) -> None:
        # Shielded: a command that ends right after a refresh leaves its catalog behind for the next one.
        with anyio.CancelScope(shield=True):
            try:
                await self._store.save_catalog(prepared.catalog, prepared.description)
                await pin_new(prepared.catalog.source, prepared.words, self._store)
            except StoreError as error:
                self._log.warning("catalog_not_saved", reason=str(error))
