"""Outcomes in memory at once, in the store soon, and others' feedback seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tool_router.cache.store import Store
from tool_router.errors import StoreError
from tool_router.learning.affinity import AffinityIndex
from tool_router.learning.outcome import Outcome, Verdict
from tool_router.learning.recorder import OutcomeStore, Recorder

pytestmark = pytest.mark.anyio


def recorder(store: OutcomeStore, source: str = "gateway") -> Recorder:
    return Recorder(
        store, source, index=AffinityIndex(), redact=lambda text: text.replace("hunter2", "[secret]")
    )


def call(to: Recorder, id_: str, task: str, tool: str, *, named: bool = False, failed: bool = False) -> None:
    to.called(id_, task, tool, to.view(task, None), named=named, failed=failed, latency_ms=5.0)


async def test_a_call_lifts_its_tool_for_the_next_similar_task_at_once() -> None:
    async with Store.open(None) as store:
        learns = recorder(store)
        call(learns, "1", "book a table", "dining")
        assert learns.affinities(learns.view("book a table", None))["dining"] > 0


async def test_outcomes_outlive_the_run_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "router.sqlite"
    async with Store.open(file) as store:
        learns = recorder(store)
        async with learns.running():
            call(learns, "1", "log in with hunter2", "login")
    async with Store.open(file) as store:
        (kept,) = await store.outcomes("gateway", 10)
        assert (kept.id, kept.task, kept.tool_id) == ("1", "log in with [secret]", "login")
        again = recorder(store)
        await again._reread(10)  # pyright: ignore[reportPrivateUsage]  # what `run` does first
        assert again.affinities(again.view("log in", None))["login"] > 0


async def test_a_corrected_choice_is_judged_in_memory_and_in_the_store() -> None:
    async with Store.open(None) as store:
        learns = recorder(store)
        call(learns, "1", "book a table", "hotels")
        await learns.flush()
        before = learns.revision
        call(learns, "2", "book a table", "dining", named=True)
        await learns.flush()
        verdicts = {o.tool_id: o.verdict for o in await store.outcomes("gateway", 10)}
        assert verdicts == {"hotels": Verdict.REPLACED, "dining": Verdict.GOOD}
        assert learns.revision != before


async def test_feedback_from_another_process_is_seen() -> None:
    async with Store.open(None) as store:
        learns = recorder(store)
        call(learns, "1", "book a table", "dining")
        await learns.flush()
        await store.judge_outcome("1", Verdict.BAD)
        await learns._reread(10)  # pyright: ignore[reportPrivateUsage]  # what `run` does every half minute
        assert learns.affinities(learns.view("book a table", None))["dining"] < 0


async def test_another_gateways_outcomes_are_not_mixed_in() -> None:
    async with Store.open(None) as store:
        call(first := recorder(store, "one"), "1", "book a table", "dining")
        await first.flush()
        other = recorder(store, "two")
        await other._reread(10)  # pyright: ignore[reportPrivateUsage]
        assert other.affinities(other.view("book a table", None)) == {}


class Broken:
    """A store that does not answer, until it does."""

    def __init__(self) -> None:
        self.works = False
        self.kept: list[Outcome] = []

    async def outcomes(self, source: str, limit: int) -> list[Outcome]:
        if not self.works:
            raise StoreError("locked")
        return self.kept

    async def add_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        if not self.works:
            raise StoreError("locked")
        self.kept.extend(outcomes)

    async def judge_outcome(self, outcome_id: str, verdict: Verdict) -> bool:
        return False


async def test_what_can_not_be_written_waits_and_is_written_later() -> None:
    store = Broken()
    learns = recorder(store)
    call(learns, "1", "book a table", "dining")
    await learns.flush()
    assert store.kept == []
    store.works = True
    await learns.flush()
    await learns.flush()
    assert [outcome.id for outcome in store.kept] == ["1"]
