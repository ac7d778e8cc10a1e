"""Several gateways as one: a target is picked, its breakers admit the call, a failed one moves on."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import structlog
from mcp.types import CallToolResult

from tool_router.balance.admission import Admission
from tool_router.balance.breaker import Clock
from tool_router.balance.member import Lease, Member
from tool_router.balance.outcome import CallKeys, result_of
from tool_router.balance.permit import Permit
from tool_router.balance.pool import Pool
from tool_router.balance.requirements import CallRequest, has_labels
from tool_router.balance.retry import RetryBudget, RetrySettings, may_move_on, may_repeat, pause_s
from tool_router.balance.service_windows import ServiceWindows
from tool_router.balance.targets import Targets
from tool_router.balance.window import Result
from tool_router.catalog.model import Tool
from tool_router.errors import BreakerOpen, GatewayError, GatewayTimeout, NoTarget, NoTargetFits, PoolBusy
from tool_router.gateway.protocol import Gateway, Health, Progress

_Answer = TypeVar("_Answer")

CALL_LIMIT_S = 300.0
"""The longest a call may take when its caller set no deadline: a frozen upstream holds a call for ever."""

ANSWER_MARGIN_S = 0.25
"""Time kept back of the caller's own deadline, at most a twentieth of what is left, so that the call times
out here, where it is accounted for, and the caller can still say so."""

LEAST_TRY_S = 0.5
"""A repeated call with less time than this would only end as another timeout."""

ANY = CallRequest()
"""A call without wishes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long calls take and how they are repeated.

    Attributes:
        call_s: the longest one attempt may take, in seconds; the caller's deadline may shorten it.
        retry: how often and how fast failed calls are repeated.
    """

    call_s: float = CALL_LIMIT_S
    retry: RetrySettings = field(default_factory=RetrySettings)


class BalancedGateway:
    """A gateway made of those in a pool.

    A call needs three breakers to admit it at its target, all or none: those of the target, of its service
    and of its tool. What its outcome says about each is in `tool_router.balance.outcome`. Where there are
    several targets, services and tools have a breaker for each: one head that has lost a service must not
    close it at the others. Cancellation passes through and says nothing.

    A call that provably did not reach its tool moves on to the next target at once. Any other is repeated
    only where that is safe, after a pause, under the retry budget.

    Args:
        key: identifies what is behind all targets, see `Gateway`.
        pool: chooses a target.
        targets: hold their connections.
        admission: their breakers.
        windows: how each service did of late.
        limits: how long calls take and how they are repeated.
        clock: monotonic seconds; the event loop's by default.
        draw: a random number in [0, 1) for the pauses between retries.
    """

    def __init__(
        self,
        key: str,
        pool: Pool[Gateway],
        targets: Targets,
        admission: Admission,
        windows: ServiceWindows,
        limits: Limits | None = None,
        *,
        clock: Clock = anyio.current_time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.key = key
        self.pool = pool
        self.targets = targets
        self.admission = admission
        self.windows = windows
        self._limits = limits or Limits()
        self._budget = RetryBudget(self._limits.retry, clock)
        self._draw = draw
        self._log = structlog.get_logger()

    def open(self) -> AbstractAsyncContextManager[None]:
        """Hold the connections of every target, of those added later too."""
        return self.targets.open()

    async def list_tools(self) -> Sequence[Tool]:
        """Read the whole catalog from a target, or from the next where that fails.

        Not repeated at the same target: the keeper polls. Counts for the target alone.

        Raises:
            BreakerOpen: every target's breaker is open, or it asked to be left alone.
            GatewayTimeout: the deadline passed.
            GatewayError: it could not be read whole.
        """
        tried: set[str] = set()
        failed: GatewayError | None = None
        while True:
            try:
                member = await self._acquire(None, ANY, tried)
            except (BreakerOpen, NoTarget):
                if failed is None:
                    raise
                raise failed from None
            tried.add(member.name)
            try:
                with self.pool.lease(member, ANY) as lease:
                    return await self._guarded(
                        lease, None, "The catalog", member.target.list_tools, "Try again later."
                    )
            except GatewayError as error:
                failed = error
                if self._time_left_s() < LEAST_TRY_S:
                    raise

    async def call(
        self,
        tool: Tool,
        arguments: Mapping[str, Any],
        progress: Progress,
        request: CallRequest = ANY,
        on_target: Callable[[str], None] = lambda name: None,
    ) -> CallToolResult:
        """Call a tool; the deadline is the caller's cancel scope, or `call_s` where that is shorter.

        Args:
            tool: what is called.
            arguments: as the tool's schema wants them.
            progress: receives the upstream's progress.
            request: what the call wishes of its target.
            on_target: told the name of each target that is asked.

        Raises:
            BreakerOpen: not called: no target is admitted by its breakers.
            NoTarget: not called: no target is in use.
            NoTargetFits: not called: none has the labels that the call requires.
            PoolBusy: not called: every target is full, and so is the queue.
            GatewayTimeout: the deadline passed; `reached_tool` says whether the tool may have run.
            GatewayError: the call could not be made or got no result.
        """
        self._budget.call_made()
        failed: GatewayError | None = None
        tried: set[str] = set()
        retry = 0
        while True:
            try:
                member = await self._acquire(tool, request, tried)
            except (BreakerOpen, NoTarget, NoTargetFits, PoolBusy):
                # The retry was refused; what the call itself met is what its caller must know.
                if failed is None:
                    raise
                raise failed from None
            on_target(member.name)
            try:
                return await self._attempt(member, tool, arguments, progress, request)
            except GatewayError as error:
                failed = error
                tried.add(member.name)
                others = self.pool.admitted(self._admits(tool), request, tried)
                if others and may_move_on(error) and self._time_left_s() > 0:
                    self._log.info(
                        "call_moved_on", tool=tool.id, target=member.name, after=type(error).__name__
                    )
                    continue
                if not await self._may_try_again(error, tool, retry):
                    raise
                retry += 1
                if not others:
                    tried.clear()

    async def check(self) -> Health:
        """Ask every target how it is, whatever its breaker says, unless it asked to be left alone."""
        found: dict[str, Health] = {}

        async def ask(member: Member[Gateway]) -> None:
            found[member.name] = await self.targets.check(member, self._time_left_s())

        members = self.pool.members()
        async with anyio.create_task_group() as tasks:
            for member in members:
                tasks.start_soon(ask, member)
        if len(members) == 1:
            return found[members[0].name]
        working = [name for name, health in found.items() if health.ok]
        ill = [f"{name}: {health.detail}" for name, health in found.items() if not health.ok]
        steps = dict.fromkeys(health.next_step for health in found.values() if health.next_step)
        detail = f"{len(working)} of {len(found)} targets work. {' '.join(ill)}".strip()
        return Health(bool(working), detail, " ".join(steps))

    async def _acquire(self, tool: Tool | None, request: CallRequest, tried: set[str]) -> Member[Gateway]:
        """A place at a target; the caller holds it in a lease.

        Raises:
            BreakerOpen: every target refuses; says which, and when each is tried again.
            NoTarget: none is in use.
            NoTargetFits: none has the labels that the call requires.
            PoolBusy: all are full, and so is the queue, or the call waited until no time was left.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        admits = self._admits(tool)
        member = self.pool.take(admits, request, tried)
        if member is not None:
            return member
        with anyio.move_on_after(max(0.0, self._time_left_s() - LEAST_TRY_S)):
            member = await self.pool.acquire(admits, request, tried)
            if member is None:
                raise self._refused(tool, request, tried)
            if self._time_left_s() >= LEAST_TRY_S:
                return member
            # A call that waited until hardly any time was left would only count against a good target.
            self.pool.give_back(member)
        raise PoolBusy(self.pool.waiting, self.pool.busy_s())

    def _refused(self, tool: Tool | None, request: CallRequest, tried: set[str]) -> GatewayError:
        """Why no target may be called."""
        refused = {
            one.name: refusal
            for one in self.pool.members()
            if not one.drained
            and one.name not in tried
            and has_labels(one.state, request)
            and (refusal := self.admission.refusal(self._keys(one.name, tool))) is not None
        }
        if not refused and request.labels and not self.pool.fits(request):
            return NoTargetFits(request.labels)
        if not refused:
            return NoTarget([member.name for member in self.pool.members() if member.drained])
        keys = dict.fromkeys(key for refusal in refused.values() for key in refusal.keys)
        waits = {name: refusal.retry_after_s for name, refusal in refused.items()}
        last = next((refusal.last for refusal in refused.values() if refusal.last), "")
        return BreakerOpen(tuple(keys), min(waits.values()), last, waits)

    async def _attempt(
        self,
        member: Member[Gateway],
        tool: Tool,
        arguments: Mapping[str, Any],
        progress: Progress,
        request: CallRequest,
    ) -> CallToolResult:
        async def ask() -> CallToolResult:
            return await member.target.call(tool, arguments, progress)

        advice = (
            "It only reads, so it can be called again."
            if tool.hints.read_only
            else "It may have run all the same: look before you call it again."
        )
        with self.pool.lease(member, request) as lease:
            return await self._guarded(lease, tool, tool.id, ask, advice)

    async def _guarded(
        self,
        lease: Lease[Gateway],
        tool: Tool | None,
        subject: str,
        ask: Callable[[], Awaitable[_Answer]],
        advice: str,
    ) -> _Answer:
        """Ask within the deadline, if every breaker admits it, and account for the outcome."""
        limit_s = self._time_left_s()
        if limit_s <= 0:
            late = GatewayTimeout(f"{subject} was not asked: no time was left.", "Allow more time.")
            late.reached_tool = False
            raise late
        keys = self._keys(lease.member.name, tool)
        permits = self.admission.admit(keys)
        started = anyio.current_time()
        try:
            with anyio.move_on_after(limit_s):
                answer = await ask()
                self.admission.succeeded(permits)
                self.targets.heard(lease.member.name)
                self._record(lease, tool, Result.SUCCESS, Result.SUCCESS, started)
                return answer
            # Only this scope's own deadline leads here: an outer cancellation has passed through.
            raise GatewayTimeout(f"{subject} did not answer within {limit_s:.1f} s.", advice)
        except GatewayError as error:
            self._account(lease, tool, keys, permits, error, started)
            raise
        except anyio.get_cancelled_exc_class():
            if anyio.current_time() - started >= limit_s:
                # Its own deadline passed first; telling the far side so took until the caller's had passed as
                # well. Were that not counted, no breaker would ever open at a target that is frozen.
                late = GatewayTimeout(f"{subject} did not answer within {limit_s:.1f} s.", advice)
                self._account(lease, tool, keys, permits, late, started)
            raise
        finally:
            # Cancelled, or an unexpected error: neither says anything about the keys.
            for permit in permits.values():
                permit.ignore()

    def _account(
        self,
        lease: Lease[Gateway],
        tool: Tool | None,
        keys: CallKeys,
        permits: Mapping[str, Permit],
        error: GatewayError,
        started: float,
    ) -> None:
        """Tell breakers and windows of a call that failed."""
        self.admission.failed(keys, permits, error)
        self._record(lease, tool, result_of(error, "target"), result_of(error, "service"), started)

    def _record(
        self,
        lease: Lease[Gateway],
        tool: Tool | None,
        of_target: Result | None,
        of_service: Result | None,
        started: float,
    ) -> None:
        """Tell the windows of the target and of the service; what says nothing about one is left out."""
        if tool is None:
            return
        if of_target is not None:
            lease.record(of_target)
        if of_service is not None and tool.server:
            self.windows.of(tool.server).record(of_service, (anyio.current_time() - started) * 1000)

    def _keys(self, target: str, tool: Tool | None) -> CallKeys:
        return CallKeys.of(target, tool, shared=len(self.pool) == 1)

    def _admits(self, tool: Tool | None) -> Callable[[str], bool]:
        return lambda name: self.admission.refusal(self._keys(name, tool)) is None

    async def _may_try_again(self, error: GatewayError, tool: Tool, retry: int) -> bool:
        """Whether the call is to be made once more; waits the pause before it."""
        settings = self._limits.retry
        if retry + 1 >= settings.attempts or not may_repeat(error, tool, settings.never):
            return False
        wait_s = pause_s(retry, settings, self._draw)
        if wait_s + LEAST_TRY_S >= self._time_left_s():
            return False
        if not self._budget.take():
            self._log.info("retry_budget_spent", tool=tool.id)
            return False
        self._log.info(
            "call_repeated", tool=tool.id, after=type(error).__name__, wait_ms=round(wait_s * 1000)
        )
        await anyio.sleep(wait_s)
        return True

    def _time_left_s(self) -> float:
        """Seconds the next attempt may take: the caller's deadline less the margin, at most `call_s`."""
        left_s = anyio.current_effective_deadline() - anyio.current_time()
        return min(self._limits.call_s, left_s - min(ANSWER_MARGIN_S, abs(left_s) / 20))
