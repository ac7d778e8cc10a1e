"""The ladder as the selector climbs it: words, vectors, judge; each rung can be turned off or fail."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.support.loopback import never, refusing_url
from tests.support.ollama_server import Model, OllamaServer, chat_model
from tests.unit.scoring.catalogs import OFFICE
from tool_router.ai.assembly import Models, build_models
from tool_router.cache.decision import DecisionCache
from tool_router.cache.store import Store
from tool_router.cache.tier import MemoryTier
from tool_router.catalog.keeper import Snapshot
from tool_router.catalog.model import Catalog
from tool_router.config import Settings
from tool_router.learning.affinity import AffinityIndex
from tool_router.learning.outcome import Outcome, Verdict
from tool_router.learning.recorder import Recorder
from tool_router.scoring.keyword import KeywordIndex
from tool_router.scoring.ranking import Rung
from tool_router.selector import Selector

pytestmark = pytest.mark.anyio

CATALOG = Catalog(OFFICE, 0.0, "office")
SNAPSHOT = Snapshot(CATALOG, KeywordIndex.build(OFFICE), "", stale=False, age_s=0.0, error=None)
CLEAR = "create_issue: open a new issue in a repository on GitHub"
CLOSE = "issues of the repository"


@pytest.fixture
async def server() -> AsyncIterator[OllamaServer]:
    async with OllamaServer(models=[Model("all-minilm:latest"), chat_model()]).running() as running:
        yield running


def settings(url: str, **sections: dict[str, Any]) -> Settings:
    relevance = {"host": url, "timeout_s": 2.0} | sections.pop("relevance", {})
    return Settings.model_validate({"relevance": relevance, **sections})


@asynccontextmanager
async def selecting(
    chosen: Settings, recorder: Recorder | None = None, decisions: DecisionCache | None = None
) -> AsyncGenerator[Selector]:
    """A selector whose models are ready, as far as they can be."""
    async with Store.open(None) as store, anyio.create_task_group() as tasks:
        models = build_models(chosen, store, {})
        if models is not None:
            tasks.start_soon(models.run)
            await ready(models)
        relevance, judge = (models.relevance, models.judge) if models else (None, None)
        yield Selector(chosen, relevance, judge, recorder, decisions)
        tasks.cancel_scope.cancel()


async def ready(models: Models) -> None:
    if models.relevance is not None:
        models.relevance.prepare(CATALOG)
        await models.relevance.settled()
    if models.judge is not None:
        await models.judge.settled()


async def test_a_close_race_is_judged_and_a_clear_one_is_not(server: OllamaServer) -> None:
    always = settings(server.url, judge={"margin": 1.0})
    async with selecting(always) as selector:
        found = await selector.rank(SNAPSHOT, CLOSE, "", 50.0)
        assert found.ranking.rung is Rung.JUDGE
        assert found.ranking.candidates[0].judged is not None
    never_close = settings(server.url, judge={"margin": 0.0})
    async with selecting(never_close) as selector:
        found = await selector.rank(SNAPSHOT, CLEAR, "", 50.0)
        assert found.ranking.rung is Rung.EMBED
        assert found.ranking.rung_reason == ""
        assert not found.fallback


@pytest.mark.parametrize(
    ("sections", "rung"),
    [
        ({"relevance": {"enabled": False}, "model_arguments": {"enabled": False}}, Rung.KEYWORD),
        ({"judge": {"enabled": False, "margin": 1.0}}, Rung.EMBED),
    ],
)
async def test_a_rung_that_is_turned_off_is_not_climbed(
    server: OllamaServer, sections: dict[str, Any], rung: Rung
) -> None:
    async with selecting(settings(server.url, **sections)) as selector:
        found = await selector.rank(SNAPSHOT, CLOSE, "", 50.0)
    assert found.ranking.rung is rung
    assert found.ranking.rung_reason == ""


async def test_without_a_host_words_stand_alone_and_the_reason_is_told() -> None:
    async with selecting(settings(refusing_url())) as selector:
        found = await selector.rank(SNAPSHOT, CLEAR, "", 50.0)
    assert found.ranking.rung is Rung.KEYWORD
    assert "refused" in found.ranking.rung_reason
    assert found.ranking.candidates[0].tool.name == "create_issue"
    assert found.fallback


async def test_a_fallback_is_not_kept_and_the_real_ranking_follows(server: OllamaServer) -> None:
    decisions = DecisionCache(MemoryTier(300.0))
    chosen = settings(server.url, relevance={"timeout_s": 0.2}, judge={"enabled": False})
    async with selecting(chosen, decisions=decisions) as selector:
        server.traffic.faults["/api/embed"] = never
        lost = await selector.rank(SNAPSHOT, CLEAR, "", 50.0)
        assert lost.ranking.rung is Rung.KEYWORD
        server.traffic.faults.clear()
        with anyio.fail_after(10):
            while True:
                found = await selector.rank(SNAPSHOT, CLEAR, "", 50.0)
                if found.ranking.rung is Rung.EMBED:
                    break
                assert found.ranking.cached == ""
                await anyio.sleep(0.05)
        again = await selector.rank(SNAPSHOT, CLEAR, "", 50.0)
        assert again.ranking.cached == "memory"
        assert again.ranking.rung is Rung.EMBED


async def test_feedback_makes_a_kept_decision_be_computed_anew(server: OllamaServer) -> None:
    async with Store.open(None) as store:
        index = AffinityIndex()
        recorder = Recorder(store, "office", index=index, redact=str)
        decisions = DecisionCache(MemoryTier(300.0))
        chosen = settings(server.url, judge={"enabled": False})
        async with selecting(chosen, recorder, decisions) as selector:
            first = await selector.rank(SNAPSHOT, CLOSE, "", 50.0)
            assert first.view is not None
            wrong = first.ranking.candidates[0].tool
            outcome = Outcome("1", time.time(), "office", CLOSE, "", wrong.id, Verdict.BAD)
            index.add(outcome, first.view)
            second = await selector.rank(SNAPSHOT, CLOSE, "", 50.0)
    assert second.ranking.cached == ""
    assert second.ranking.candidates[0].tool is not wrong
