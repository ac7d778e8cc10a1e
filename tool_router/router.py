"""The way of a request: catalog, ranking, arguments, decision, call, outcome. Nothing else."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
from mcp.types import CallToolResult

from tool_router.args.model import Source
from tool_router.balance.balanced import ANY, BalancedGateway
from tool_router.balance.ratings import Ratings
from tool_router.balance.requirements import CallRequest
from tool_router.balance.wishes import Wishes
from tool_router.catalog.find import find
from tool_router.catalog.model import Tool
from tool_router.config import Settings
from tool_router.effect import effect_of
from tool_router.errors import GatewayTimeout, ToolRouterError, ToolUnavailable, UnknownTool
from tool_router.gateway.protocol import Progress
from tool_router.plan import Plan, Request, decision_facts
from tool_router.policy import (
    Ambiguous,
    Confirm,
    Decision,
    Execute,
    NeedArguments,
    Thresholds,
    available,
    choose,
    decide,
    rivals,
)
from tool_router.results import describe_failure, describe_unfinished, with_decision
from tool_router.scoring.ranking import Candidate, Ranking

if TYPE_CHECKING:
    from tool_router.args.complete import ValueModel
    from tool_router.catalog.keeper import CatalogKeeper, Snapshot
    from tool_router.learning.recorder import Recorder
    from tool_router.learning.warming import Warmer
    from tool_router.selector import Selector

REFRESH_FOR_NAME_S = 5.0
"""How long an unknown tool name may wait for a fresh catalog before it is called unknown."""

VALUES_SHARE = 0.3
"""The part of a request's time that a model may take to find arguments: the call itself needs the rest."""

STALE_FOR_NAME_S = 10.0
"""A younger catalog is not read again for an unknown name: a confused caller must not flood a gateway."""


EXPECTED = 2
"""The services of so many first candidates are woken while the router still decides."""


def _local_time() -> datetime:
    return datetime.now(UTC).astimezone()


class Router:
    """Plans and executes requests against one gateway.

    Args:
        settings: thresholds, budget, how much an answer shows.
        keeper: the catalog.
        selector: ranks it.
        gateway: calls tools; guarded by breakers and a deadline.
        recorder: is told what became of each call; None where nothing is learned.
        values: finds arguments that no rule found; None leaves them missing.
        warmer: is told when requests come and go; None where nothing is warmed.
        wishes: what a call wishes of its target; None lets every call be content with any.
        ratings: is told which target answered; None where nothing is rated.
        expect: is told which services are likely to be called, so that those that sleep wake meanwhile; None
            where none can sleep.
        clock: monotonic seconds.
        now: the person's wall clock, which "tomorrow" is read by.
    """

    def __init__(
        self,
        settings: Settings,
        keeper: CatalogKeeper,
        selector: Selector,
        gateway: BalancedGateway,
        recorder: Recorder | None = None,
        values: ValueModel | None = None,
        warmer: Warmer | None = None,
        wishes: Wishes | None = None,
        ratings: Ratings | None = None,
        expect: Callable[[Sequence[str]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _local_time,
    ) -> None:
        self._settings = settings
        self._keeper = keeper
        self._selector = selector
        self._gateway = gateway
        self._recorder = recorder
        self._values = values
        self._warmer = warmer
        self._wishes = wishes
        self._ratings = ratings
        self._expect = expect
        self._clock = clock
        self._now = now
        policy = settings.policy
        self._thresholds = Thresholds(policy.read, policy.write, policy.destructive, policy.no_match)
        # Imported here because it loads rich, which would delay `initialize`.
        import structlog

        self._log = structlog.get_logger()

    async def plan(self, request: Request) -> Plan:
        """Find the tool, build its arguments and decide; nothing is called."""
        with self._busy(request.task):
            return await self._planned(request)

    def _busy(self, task: str = "") -> AbstractContextManager[None]:
        """Keeps idle work out of the way of a request."""
        return nullcontext() if self._warmer is None else self._warmer.request(task)

    async def _planned(self, request: Request) -> Plan:
        started = self._clock()
        ms: dict[str, float] = {}
        named = secrets.token_hex(4)
        view = None
        try:
            with anyio.fail_after(self._settings.request.budget_s):
                await self._keeper.first()
                snapshot = self._keeper.snapshot()
                if request.tool is not None:
                    ranking = None
                    tool = await self._named(snapshot, request.tool)
                    self._wake_ahead([tool.server])
                    decision = await self._decide(request, tool, ms)
                else:
                    selection = await self._selector.rank(
                        snapshot, request.task, request.context, self._settings.request.budget_s
                    )
                    ranking, view = selection.ranking, selection.view
                    ms["rank"] = ranking.elapsed_ms
                    self._wake_ahead([found.tool.server for found in ranking.candidates[:EXPECTED]])
                    decision = await self._decide_ranked(request, ranking, snapshot.flagged, ms)
        except TimeoutError:
            budget = self._settings.request.budget_s
            late = GatewayTimeout(f"No catalog arrived within {budget:.0f} s.", "Run `tool-router doctor`.")
            return Plan(request, named, error=late, spent_s=self._clock() - started, ms=ms)
        except ToolRouterError as error:
            return Plan(request, named, error=error, spent_s=self._clock() - started, ms=ms)
        return Plan(
            request,
            named,
            decision,
            ranking=ranking,
            view=view,
            catalog_age_s=snapshot.age_s,
            catalog_stale=snapshot.stale,
            spent_s=self._clock() - started,
            ms=ms,
        )

    def _wake_ahead(self, services: Sequence[str]) -> None:
        """Wake services while it is still being decided which of their tools is called, if any."""
        if self._expect is not None:
            self._expect(list(dict.fromkeys(services)))

    async def execute(self, plan: Plan, progress: Progress, *, agreed: bool | None = None) -> CallToolResult:
        """Carry a plan out: call the tool, or answer why it was not called.

        Args:
            plan: from `plan`.
            progress: receives the upstream's progress.
            agreed: what a person answered to a `Confirm`; None when nobody could be asked.
        """
        started = self._clock()
        decision = plan.decision
        if decision is None:
            error = plan.error or ToolUnavailable("Nothing was planned.", "Send the task again.")
            return self._finish(plan, describe_failure(error, None, None), "failed", started)
        if isinstance(decision, Confirm) and agreed:
            decision = Execute(decision.tool, decision.draft)
        if not isinstance(decision, Execute):
            declined = agreed is False
            if self._recorder is not None:
                self._recorder.unsure(plan.request.task)
            shown = self._settings.policy.candidates_shown
            result = describe_unfinished(decision, plan.request.task, shown, declined=declined)
            status = "declined" if declined and isinstance(decision, Confirm) else decision.kind
            return self._finish(plan, result, status, started)
        left_s = max(0.0, self._settings.request.budget_s - plan.spent_s)
        asked: list[str] = []
        try:
            with self._busy(), anyio.fail_after(left_s):
                result = await self._gateway.call(
                    decision.tool,
                    decision.draft.arguments,
                    progress,
                    self._request_for(plan, decision.tool),
                    asked.append,
                )
        except TimeoutError:
            late = GatewayTimeout(
                f"{decision.tool.id} did not answer within the {left_s:.0f} s that were left.",
                "Raise request.budget_s if the tool is slow.",
            )
            failure = describe_failure(late, decision.tool, decision.draft)
            return self._finish(plan, failure, "failed", started, asked)
        except ToolRouterError as error:
            failure = describe_failure(error, decision.tool, decision.draft)
            return self._finish(plan, failure, "failed", started, asked)
        if self._ratings is not None and asked:
            self._ratings.answered(plan.id, asked[-1], _category(plan))
        self._record(plan, decision.tool, result, started)
        return self._finish(plan, result, "executed", started, asked)

    def _request_for(self, plan: Plan, tool: Tool) -> CallRequest:
        """What the call wishes of its target."""
        return self._wishes.of(tool, _category(plan), plan.request.context) if self._wishes else ANY

    def _record(self, plan: Plan, tool: Tool, result: CallToolResult, started: float) -> None:
        """Note what became of a call that reached its tool."""
        if self._recorder is None:
            return
        self._recorder.called(
            plan.id,
            plan.request.task,
            tool.id,
            plan.view or self._recorder.view(plan.request.task, None),
            named=plan.request.tool is not None,
            failed=bool(result.is_error),
            latency_ms=(self._clock() - started) * 1000,
        )

    async def _named(self, snapshot: Snapshot, name: str) -> Tool:
        """The tool the caller named; a fresh catalog is read before a name is called unknown."""
        try:
            return find(snapshot.catalog, name)
        except UnknownTool:
            if snapshot.age_s < STALE_FOR_NAME_S:
                raise
        with anyio.move_on_after(REFRESH_FOR_NAME_S):
            await self._keeper.refresh()
        return find(self._keeper.snapshot().catalog, name)

    async def _decide_ranked(
        self, request: Request, ranking: Ranking, flagged: Mapping[str, str], ms: dict[str, float]
    ) -> Decision:
        picked = choose(ranking, self._thresholds)
        if not isinstance(picked, Candidate):
            return picked
        if (why := flagged.get(picked.tool.id)) is not None:
            # Its words may have been written to be chosen: only a caller that names it runs it.
            return Ambiguous(available(ranking), f"{picked.tool.id} is flagged ({why})")
        decision = await self._decide(request, picked.tool, ms)
        if isinstance(decision, NeedArguments) and decision.draft.missing:
            for rival in rivals(ranking, picked):
                if self._says_all(request, rival.tool):
                    return Ambiguous(
                        available(ranking), f"{picked.tool.id} scores best, {rival.tool.id} has all it needs"
                    )
        return decision

    def _says_all(self, request: Request, tool: Tool) -> bool:
        """Whether the request itself says everything that a tool needs, and something for it."""
        from tool_router.args.build import build

        draft = build(tool, request.task, request.context, None, self._now())
        said = any(value.source is not Source.DEFAULT for value in draft.values.values())
        return draft.clear and said

    async def _decide(self, request: Request, tool: Tool, ms: dict[str, float]) -> Decision:
        # jsonschema and rapidfuzz stay out of the process until the first draft.
        from tool_router.args.build import build

        if not tool.available:
            reason = tool.unavailable_reason or f"it is {tool.availability}"
            raise ToolUnavailable(
                f"{tool.id} can't be called: {reason}", "Run `tool-router doctor` for what to do."
            )
        started = time.perf_counter()
        now = self._now()
        draft = build(tool, request.task, request.context, request.arguments, now)
        if draft.missing and self._values is not None:
            from tool_router.args.complete import complete

            left_s = self._settings.request.budget_s * VALUES_SHARE
            draft = await complete(draft, tool, request.task, request.context, self._values, left_s, now=now)
        ms["arguments"] = (time.perf_counter() - started) * 1000
        named = request.tool is not None and request.arguments is not None
        return decide(tool, draft, effect_of(tool), self._settings.policy.confirm, named=named)

    def _finish(
        self, plan: Plan, result: CallToolResult, status: str, started: float, asked: Sequence[str] = ()
    ) -> CallToolResult:
        call_ms = (self._clock() - started) * 1000
        ms = {**plan.ms, "call": call_ms, "total": plan.spent_s * 1000 + call_ms}
        facts = decision_facts(plan, status, ms, asked)
        self._log.info(
            "task_answered",
            status=status,
            tool=facts["tool"],
            rung=facts["rung"],
            confidence=facts["confidence"],
            is_error=result.is_error,
            total_ms=facts["ms"]["total"],
        )
        return with_decision(result, facts)


def _category(plan: Plan) -> str:
    return plan.view.category if plan.view else ""
