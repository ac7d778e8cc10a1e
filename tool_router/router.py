"""The way of a request: catalog, ranking, arguments, decision, call, outcome. Nothing else."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio
from mcp.types import CallToolResult

from tool_router.args.model import Draft
from tool_router.catalog.find import find
from tool_router.catalog.model import Tool
from tool_router.config import Settings
from tool_router.effect import effect_of
from tool_router.errors import GatewayTimeout, ToolRouterError, ToolUnavailable, UnknownTool
from tool_router.gateway.protocol import Gateway, Progress
from tool_router.policy import Confirm, Decision, Execute, Thresholds, choose, decide
from tool_router.results import describe_failure, describe_unfinished, provenance, with_decision
from tool_router.scoring.ranking import Candidate, Ranking

if TYPE_CHECKING:
    from tool_router.args.complete import ValueModel
    from tool_router.catalog.keeper import CatalogKeeper, Snapshot
    from tool_router.learning.affinity import TaskView
    from tool_router.learning.recorder import Recorder
    from tool_router.selector import Selector

REFRESH_FOR_NAME_S = 5.0
"""How long an unknown tool name may wait for a fresh catalog before it is called unknown."""

VALUES_SHARE = 0.3
"""The part of a request's time that a model may take to find arguments: the call itself needs the rest."""

STALE_FOR_NAME_S = 10.0
"""A younger catalog is not read again for an unknown name: a confused caller must not flood a gateway."""


def _local_time() -> datetime:
    return datetime.now(UTC).astimezone()


@dataclass(frozen=True, slots=True)
class Request:
    """One call of execute_task, with text that can be encoded and compared."""

    task: str
    context: str = ""
    tool: str | None = None
    arguments: Mapping[str, Any] | None = None

    @classmethod
    def clean(cls, task: str, context: str, tool: str | None, arguments: Mapping[str, Any] | None) -> Request:
        """Build a request from wire values: lone surrogates and NUL bytes are replaced."""
        return cls(
            _clean(task), _clean(context), _clean(tool.strip()) if tool and tool.strip() else None, arguments
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done about a request, before anything is called.

    Attributes:
        id: names the decision, for feedback.
        decision: what was decided, or None when `error` says why nothing could be.
        view: the task as outcomes compare it; None where nothing was ranked or nothing is learned.
        spent_s: seconds of the request's budget used so far.
    """

    request: Request
    id: str = ""
    decision: Decision | None = None
    error: ToolRouterError | None = None
    ranking: Ranking | None = None
    view: TaskView | None = None
    catalog_age_s: float = 0.0
    catalog_stale: bool = False
    spent_s: float = 0.0
    ms: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def tool(self) -> Tool | None:
        """The chosen tool, where there is one."""
        return getattr(self.decision, "tool", None)

    @property
    def draft(self) -> Draft | None:
        """The chosen tool's arguments, where there is a tool."""
        return getattr(self.decision, "draft", None)


class Router:
    """Plans and executes requests against one gateway.

    Args:
        settings: thresholds, budget, how much an answer shows.
        keeper: the catalog.
        selector: ranks it.
        gateway: calls tools; guarded by breakers and a deadline.
        recorder: is told what became of each call; None where nothing is learned.
        values: finds arguments that no rule found; None leaves them missing.
        clock: monotonic seconds.
        now: the person's wall clock, which "tomorrow" is read by.
    """

    def __init__(
        self,
        settings: Settings,
        keeper: CatalogKeeper,
        selector: Selector,
        gateway: Gateway,
        recorder: Recorder | None = None,
        values: ValueModel | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _local_time,
    ) -> None:
        self._settings = settings
        self._keeper = keeper
        self._selector = selector
        self._gateway = gateway
        self._recorder = recorder
        self._values = values
        self._clock = clock
        self._now = now
        policy = settings.policy
        self._thresholds = Thresholds(policy.read, policy.write, policy.destructive, policy.no_match)
        # Imported here because it loads rich, which would delay `initialize`.
        import structlog

        self._log = structlog.get_logger()

    async def plan(self, request: Request) -> Plan:
        """Find the tool, build its arguments and decide; nothing is called."""
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
                    decision = await self._decide(request, tool, ms)
                else:
                    selection = await self._selector.rank(
                        snapshot, request.task, request.context, self._settings.request.budget_s
                    )
                    ranking, view = selection.ranking, selection.view
                    ms["rank"] = ranking.elapsed_ms
                    decision = await self._decide_ranked(request, ranking, ms)
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
        try:
            with anyio.fail_after(left_s):
                result = await self._gateway.call(decision.tool, decision.draft.arguments, progress)
        except TimeoutError:
            late = GatewayTimeout(
                f"{decision.tool.id} did not answer within the {left_s:.0f} s that were left.",
                "Raise request.budget_s if the tool is slow.",
            )
            return self._finish(
                plan, describe_failure(late, decision.tool, decision.draft), "failed", started
            )
        except ToolRouterError as error:
            return self._finish(
                plan, describe_failure(error, decision.tool, decision.draft), "failed", started
            )
        self._record(plan, decision.tool, result, started)
        return self._finish(plan, result, "executed", started)

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

    async def _decide_ranked(self, request: Request, ranking: Ranking, ms: dict[str, float]) -> Decision:
        picked = choose(ranking, self._thresholds)
        return await self._decide(request, picked.tool, ms) if isinstance(picked, Candidate) else picked

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

    def _finish(self, plan: Plan, result: CallToolResult, status: str, started: float) -> CallToolResult:
        call_ms = (self._clock() - started) * 1000
        ms = {**plan.ms, "call": call_ms, "total": plan.spent_s * 1000 + call_ms}
        facts = decision_facts(plan, status, ms)
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


def decision_facts(plan: Plan, status: str, ms: Mapping[str, float]) -> dict[str, Any]:
    """How an answer was reached, as `_meta` and `--json` show it."""
    ranking = plan.ranking
    first = ranking.candidates[0] if ranking and ranking.candidates else None
    tool, draft = plan.tool, plan.draft
    return {
        "id": plan.id,
        "status": status,
        "tool": tool.id if tool else None,
        "score": round(first.score, 4) if first else None,
        "confidence": round(ranking.confidence, 4) if ranking else None,
        "none_fits": round(ranking.none_fits, 4) if ranking else None,
        "margin": round(ranking.margin, 4) if ranking else None,
        "affinity": round(first.affinity, 4) if first else None,
        "rung": ranking.rung.value if ranking else "named",
        "cached": ranking.cached if ranking else "",
        "rung_reason": ranking.rung_reason if ranking else "the caller named the tool",
        "arguments": provenance(draft) if draft else {},
        "catalog": {"age_s": round(plan.catalog_age_s, 1), "stale": plan.catalog_stale},
        "ms": {name: round(value, 2) for name, value in ms.items()},
    }


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")
