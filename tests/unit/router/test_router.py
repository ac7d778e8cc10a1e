"""The way of a request through the router, with a gateway that does as it is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp.types import CallToolResult

from tests.support.balancing import balanced
from tests.support.scripted_gateway import ScriptedGateway
from tests.unit.scoring.catalogs import tool
from tool_router.cache.store import Store
from tool_router.catalog.keeper import CatalogKeeper
from tool_router.catalog.model import Catalog, Tool
from tool_router.catalog.pins import pin_new
from tool_router.catalog.suspicion import read_words
from tool_router.config import Settings
from tool_router.learning.affinity import AffinityIndex
from tool_router.learning.outcome import Verdict
from tool_router.learning.recorder import Recorder
from tool_router.plan import Plan, Request
from tool_router.results import META_KEY
from tool_router.router import Router
from tool_router.selector import Selector

pytestmark = pytest.mark.anyio


def required(name: str, description: str, *needed: str, **properties: str) -> Tool:
    made = tool(name, description, "clock", **properties)
    assert isinstance(made.input_schema, dict)
    made.input_schema["required"] = list(needed)
    return made


NOW = required("get_current_time", "Current time in a zone", "timezone", timezone="IANA zone name")
CONVERT = required(
    "convert_time",
    "Convert a time such as that in Asia/Tokyo to another zone",
    "source_timezone",
    "time",
    "target_timezone",
    source_timezone="Zone to convert from",
    time="Time to convert",
    target_timezone="Zone to convert to, Asia/Tokyo for instance",
)
CLOCK = (CONVERT, NOW)


class Running:
    """A router, its gateway and what it has stored."""

    def __init__(self, router: Router, gateway: ScriptedGateway, recorder: Recorder, store: Store) -> None:
        self.router = router
        self.gateway = gateway
        self.recorder = recorder
        self.store = store

    async def plan(self, task: str, **rest: Any) -> Plan:
        tool_name, arguments = rest.get("tool"), rest.get("arguments")
        return await self.router.plan(Request.clean(task, rest.get("context", ""), tool_name, arguments))

    async def ask(self, task: str, **rest: Any) -> CallToolResult:
        async def ignore(progress: float, total: float | None, message: str | None) -> None:
            pass

        return await self.router.execute(await self.plan(task, **rest), ignore)


@asynccontextmanager
async def running(
    tools: Sequence[Tool] = CLOCK, pinned: Sequence[Tool] = (), **sections: dict[str, Any]
) -> AsyncGenerator[Running]:
    settings = Settings.model_validate(sections)
    gateway = ScriptedGateway(tools)
    async with Store.open(None) as store:
        if pinned:
            await pin_new(gateway.key, read_words(Catalog(tuple(pinned), 1.0, gateway.key)), store)
        keeper = CatalogKeeper(gateway, store)
        recorder = Recorder(store, gateway.key, index=AffinityIndex(), redact=str)
        async with keeper.run():
            await keeper.refresh()
            router = Router(
                settings, keeper, Selector(settings, recorder=recorder), balanced(gateway), recorder
            )
            yield Running(router, gateway, recorder, store)


def status(plan: Plan) -> str:
    return plan.decision.kind if plan.decision else "failed"


async def test_a_clear_task_is_executed_and_its_outcome_recorded() -> None:
    async with running() as at:
        result = await at.ask("get_current_time: what is the current time in Asia/Tokyo?")
        facts = (result.meta or {})[META_KEY]
        await at.recorder.flush()
        (outcome,) = await at.store.outcomes(at.gateway.key, 10)
    assert facts["status"] == "executed"
    assert (outcome.id, outcome.tool_id, outcome.verdict) == (facts["id"], NOW.id, Verdict.SUCCEEDED)


async def test_a_tool_that_lacks_arguments_does_not_stand_before_one_that_has_them_all() -> None:
    async with running(policy={"read": 0, "write": 0, "no_match": 1}) as at:
        plan = await at.plan("convert_time or get_current_time in Asia/Tokyo?")
        result = await at.ask("convert_time or get_current_time in Asia/Tokyo?")
    assert plan.ranking is not None
    assert plan.ranking.candidates[0].tool is CONVERT
    assert status(plan) == "ambiguous"
    assert "has all it needs" in str(result.content)
    assert at.gateway.calls == []


async def test_a_second_call_with_another_tool_judges_the_first() -> None:
    async with running() as at:
        task = "get_current_time: what is the current time in Asia/Tokyo?"
        await at.ask(task)
        given = {"source_timezone": "Asia/Tokyo", "time": "12:00", "target_timezone": "UTC"}
        await at.ask(task, tool=CONVERT.id, arguments=given)
        await at.recorder.flush()
        verdicts = {o.tool_id: o.verdict for o in await at.store.outcomes(at.gateway.key, 10)}
    assert verdicts == {NOW.id: Verdict.REPLACED, CONVERT.id: Verdict.GOOD}


@pytest.mark.parametrize("affinity", [True, False])
async def test_what_happened_lifts_a_tool_unless_affinity_is_turned_off(affinity: bool) -> None:
    async with running(learning={"affinity": affinity}) as at:
        task = "get_current_time: what is the current time in Asia/Tokyo?"
        await at.ask(task)
        plan = await at.plan(task)
        await at.recorder.flush()
        assert len(await at.store.outcomes(at.gateway.key, 10)) == 1
    assert plan.ranking is not None
    assert (plan.ranking.candidates[0].affinity > 0) is affinity


async def test_a_tool_whose_words_changed_is_not_run_from_a_task_alone() -> None:
    before = required("get_current_time", "The hour", "timezone", timezone="IANA zone name")
    task = "get_current_time: what is the current time in Asia/Tokyo?"
    async with running(pinned=(before, CONVERT)) as at:
        result = await at.ask(task)
        assert "flagged" in str(result.content)
        assert at.gateway.calls == []
        named = await at.ask(task, tool=NOW.id, arguments={"timezone": "Asia/Tokyo"})
    assert (named.meta or {})[META_KEY]["status"] == "executed"


async def test_without_learning_nothing_is_recorded() -> None:
    gateway = ScriptedGateway(CLOCK)
    async with Store.open(None) as store:
        keeper = CatalogKeeper(gateway, store)
        async with keeper.run():
            await keeper.refresh()
            router = Router(Settings(), keeper, Selector(Settings()), balanced(gateway))
            at = Running(router, gateway, Recorder(store, "", index=AffinityIndex(), redact=str), store)
            await at.ask("get_current_time: what is the current time in Asia/Tokyo?")
        assert await store.outcomes(gateway.key, 10) == []
    assert len(gateway.calls) == 1
