"""Keeps outcomes: in memory for the next ranking at once, in the store off the request path."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import anyio
import structlog

from tool_router.catalog.model import Catalog
from tool_router.errors import StoreError
from tool_router.learning.affinity import CAPACITY, AffinityIndex, TaskView
from tool_router.learning.category import CategoryDetector, CueCategories
from tool_router.learning.follow_up import FollowUps
from tool_router.learning.outcome import Outcome, Verdict
from tool_router.learning.task_words import task_words
from tool_router.scoring.blend import Floats
from tool_router.scoring.text import MAX_TASK_CHARS

REREAD_S = 30.0
"""How long feedback given in another process takes to be seen here."""
FLUSH_S = 1.0
MAX_PENDING = 1_000
"""Outcomes that wait for a store that does not answer; the oldest are dropped beyond."""
TASK_CHARS = 500


class OutcomeStore(Protocol):
    """Where outcomes outlive a run."""

    async def outcomes(self, source: str, limit: int) -> list[Outcome]:
        """The latest outcomes of a gateway, newest first.

        Raises:
            StoreError: the store failed.
        """
        ...

    async def add_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Add outcomes; one with a known id replaces it.

        Raises:
            StoreError: the store failed.
        """
        ...

    async def judge_outcome(self, outcome_id: str, verdict: Verdict) -> bool:
        """Change a verdict; False when there is no such outcome.

        Raises:
            StoreError: the store failed.
        """
        ...


class Recorder:
    """Records outcomes of one gateway and says what they mean for a task.

    Args:
        store: keeps them.
        source: the gateway's key.
        index: the outcomes in memory.
        redact: takes secrets out of a task before it is kept.
        categories: whether tasks are told apart by category.
        detect: makes the detector of a catalog's categories.
        on_verdict: told the id of an outcome and the verdict that a person gave since.
        clock: Unix time, in seconds.
    """

    def __init__(
        self,
        store: OutcomeStore,
        source: str,
        *,
        index: AffinityIndex,
        redact: Callable[[str], str],
        categories: bool = True,
        detect: Callable[[Catalog | None], CategoryDetector] = CueCategories,
        on_verdict: Callable[[str, Verdict], None] = lambda outcome_id, verdict: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._source = source
        self._index = index
        self._detect = detect
        self._detector = detect(None) if categories else None
        self._redact = redact
        self._on_verdict = on_verdict
        self._clock = clock
        self._follow_ups = FollowUps(clock)
        self._pending: list[Outcome] = []
        self._judged: dict[str, Verdict] = {}
        self._wanted = anyio.Event()
        self._trouble = ""
        self._log = structlog.get_logger()

    @property
    def revision(self) -> str:
        """Changes with every verdict that may change a choice, so that no decision from before is reused."""
        return self._index.revision

    def catalog_changed(self, catalog: Catalog) -> None:
        """Take the categories from this catalog from now on."""
        if self._detector is not None:
            self._detector = self._detect(catalog)

    def view(self, task: str, vector: Floats | None) -> TaskView:
        """A task, as far as tasks are read, as it is compared with earlier ones."""
        task = task[:MAX_TASK_CHARS]
        return TaskView(task_words(task), self._detector.category(task) if self._detector else "", vector)

    def affinities(self, view: TaskView) -> dict[str, float]:
        """What outcomes of similar tasks say of tools, by id, from -1 to 1."""
        return self._index.affinities(view, self._clock())

    def unsure(self, task: str) -> None:
        """Note that a task was answered with candidates."""
        self._follow_ups.unsure(task)

    def called(
        self,
        outcome_id: str,
        task: str,
        tool_id: str,
        view: TaskView,
        *,
        named: bool,
        failed: bool,
        latency_ms: float,
    ) -> None:
        """Record a call that reached its tool; returns at once.

        Args:
            outcome_id: names the outcome.
            task: the request's task.
            tool_id: the tool that was called.
            view: the task as `view` gives it.
            named: whether the caller named the tool.
            failed: whether the tool reported an error.
            latency_ms: how long the call took.
        """
        if not task.strip():
            return
        said = self._follow_ups.called(task, tool_id, outcome_id, named=named, failed=failed)
        if said.replaced is not None:
            self._judged[said.replaced] = Verdict.REPLACED
            self._index.judge(said.replaced, Verdict.REPLACED)
        outcome = Outcome(
            outcome_id,
            self._clock(),
            self._source,
            self._redact(task[:TASK_CHARS]),
            view.category,
            tool_id,
            said.verdict,
            latency_ms,
        )
        self._index.add(outcome, view)
        self._pending.append(outcome)
        del self._pending[:-MAX_PENDING]
        self._wanted.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Load and write outcomes in the background; what is left is written at the end."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.run)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self.flush()

    async def run(self) -> None:
        """Load what is stored, write what is recorded, and see feedback of others, until cancelled."""
        await self._reread(CAPACITY)
        while True:
            with anyio.move_on_after(REREAD_S):
                await self._wanted.wait()
                # Calls come in bursts; one transaction takes them all.
                await anyio.sleep(FLUSH_S)
            await self.flush()
            await self._reread(MAX_PENDING)

    async def flush(self) -> None:
        """Write what is not stored yet; what can't be written waits for the next time."""
        self._wanted = anyio.Event()
        pending, self._pending = self._pending, []
        judged, self._judged = self._judged, {}
        try:
            if pending:
                await self._store.add_outcomes(pending)
                pending = []
            for outcome_id, verdict in list(judged.items()):
                await self._store.judge_outcome(outcome_id, verdict)
                del judged[outcome_id]
        except StoreError as error:
            self._note(error)
            self._pending = (pending + self._pending)[-MAX_PENDING:]
            self._judged = judged | self._judged

    async def _reread(self, limit: int) -> None:
        try:
            stored = await self._store.outcomes(self._source, limit)
        except StoreError as error:
            self._note(error)
            return
        self._trouble = ""
        for outcome in reversed(stored):
            before = self._index.verdict(outcome.id)
            if before is None:
                self._index.add(outcome, self.view(outcome.task, None))
            elif before is not outcome.verdict and outcome.id not in self._judged:
                self._index.judge(outcome.id, outcome.verdict)
                self._on_verdict(outcome.id, outcome.verdict)

    def _note(self, error: StoreError) -> None:
        if str(error) != self._trouble:
            self._trouble = str(error)
            self._log.warning("outcomes_not_stored", reason=str(error))
