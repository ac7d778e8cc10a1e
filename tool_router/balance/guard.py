"""A gateway behind breakers, a deadline and one retry loop."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import structlog
from cachetools import LRUCache
from mcp.types import CallToolResult

from tool_router.balance.breaker import Breaker, BreakerSettings, Clock, State, Transition, admit_all
from tool_router.balance.outcome import CallKeys, record_failure, record_success
from tool_router.balance.permit import Permit
from tool_router.balance.registry import BreakerRegistry
from tool_router.balance.retry import RetryBudget, RetrySettings, may_repeat, pause_s
from tool_router.balance.target import Target
from tool_router.catalog.model import Tool
from tool_router.errors import BreakerOpen, GatewayBusy, GatewayError, GatewayTimeout
from tool_router.gateway.protocol import Gateway, Health, Progress

_Answer = TypeVar("_Answer")

CALL_LIMIT_S = 300.0
"""The longest a call may take when its caller set no deadline: a frozen upstream holds a call for ever."""

ANSWER_MARGIN_S = 0.25
"""Time kept back of the caller's own deadline, at most a twentieth of what is left, so that the call times
out here, where it is accounted for, and the caller can still say so."""


class GuardedGateway:
    """A gateway whose calls are admitted by breakers, bounded in time, and repeated only when that is safe.

    A call needs three breakers to admit it, all or none: those of its target, its service and its tool. What
    its outcome says about each is in `tool_router.balance.outcome`. Cancellation passes through and says
    nothing. There is one target for now; `_pick` is where a pool chooses.

    Args:
        inner: the gateway.
        settings: of every breaker; `permit_ttl_s` is raised where it does not exceed `limit_s`.
        limit_s: the longest one attempt may take, in seconds; the caller's deadline may shorten it.
        retry: how often and how fast failed calls are repeated.
        capacity: how many breakers are kept; open ones are kept beyond it.
        clock: monotonic seconds; the event loop's by default.
        draw: a random number in [0, 1) for the pauses between retries.
    """

    def __init__(
        self,
        inner: Gateway,
        settings: BreakerSettings | None = None,
        *,
        limit_s: float = CALL_LIMIT_S,
        retry: RetrySettings | None = None,
        capacity: int = 1024,
        clock: Clock = anyio.current_time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.key = inner.key
        self._target = Target(inner.key, inner)
        settings = settings or BreakerSettings()
        # A slow probe must not count as lost while its own deadline still runs.
        self._settings = replace(settings, permit_ttl_s=max(settings.permit_ttl_s, limit_s * 1.1))
        self._limit_s = limit_s
        self._retry = retry or RetrySettings()
        self._budget = RetryBudget(self._retry, clock)
        self._clock = clock
        self._draw = draw
        self._breakers = BreakerRegistry(self._make_breaker, capacity)
        self._met: LRUCache[str, str] = LRUCache(capacity)
        self._log = structlog.get_logger()

    def open(self) -> AbstractAsyncContextManager[None]:
        """Hold the gateway's connections."""
        return self._target.gateway.open()

    async def list_tools(self) -> Sequence[Tool]:
        """Read the whole catalog; counts for the target alone, and is not repeated: the keeper polls.

        Raises:
            BreakerOpen: the target's breaker is open, or the target asked to be left alone.
            GatewayTimeout: the deadline passed.
            GatewayError: it could not be read whole.
        """
        target = self._target
        keys = CallKeys.of(target.name)
        return await self._guarded(keys, "The catalog", target.gateway.list_tools, "Try again later.")

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        """Call a tool; the deadline is the caller's cancel scope, or `limit_s` where that is shorter.

        Raises:
            BreakerOpen: not called: one of its three breakers is open.
            GatewayTimeout: the deadline passed; `reached_tool` says whether the tool may have run.
            GatewayError: the call could not be made or got no result.
        """
        self._budget.call_made()
        failed: GatewayError | None = None
        retry = 0
        while True:
            try:
                return await self._attempt(self._pick(), tool, arguments, progress)
            except BreakerOpen:
                if failed is None:
                    raise
                # The retry was refused; what the call itself met is what its caller must know.
                raise failed from None
            except GatewayError as error:
                if not await self._may_try_again(error, tool, retry):
                    raise
                failed = error
                retry += 1

    async def check(self) -> Health:
        """Ask the gateway how it is, whatever its breaker says, unless it asked to be left alone."""
        target = self._target
        breaker = self._breakers.get(CallKeys.of(target.name).by_scope["target"])
        if breaker.resting:
            return Health(
                False,
                f"{target.name} answered 429: too many requests.",
                f"Nothing is sent for another {breaker.rest_s:.0f} s, lest it locks this address out.",
            )
        with anyio.move_on_after(self._time_left_s()):
            return await target.gateway.check()
        return Health(
            False, f"{target.name} did not answer in time.", "See whether it is overloaded or frozen."
        )

    def states(self) -> Mapping[str, State]:
        """The state of every breaker that is kept, by key; a key that is missing is closed."""
        return {key: breaker.state for key, breaker in self._breakers.view().items()}

    def reset(self, key: str | None = None) -> tuple[str, ...]:
        """Close one breaker, or all of them, and end their push-back; returns the keys that were reset."""
        kept = self._breakers.view()
        keys = tuple(kept) if key is None else tuple(name for name in kept if name == key)
        for name in keys:
            kept[name].reset()
        return keys

    def _pick(self) -> Target:
        """The target of the next attempt; with several, the balancer chooses here, anew for each attempt."""
        return self._target

    async def _attempt(
        self, target: Target, tool: Tool, arguments: Mapping[str, Any], progress: Progress
    ) -> CallToolResult:
        async def ask() -> CallToolResult:
            return await target.gateway.call(tool, arguments, progress)

        advice = (
            "It only reads, so it can be called again."
            if tool.hints.read_only
            else "It may have run all the same: look before you call it again."
        )
        return await self._guarded(CallKeys.of(target.name, tool), tool.id, ask, advice)

    async def _guarded(
        self, keys: CallKeys, subject: str, ask: Callable[[], Awaitable[_Answer]], advice: str
    ) -> _Answer:
        """Ask within the deadline, if every breaker admits it, and account for the outcome."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        limit_s = self._time_left_s()
        if limit_s <= 0:
            late = GatewayTimeout(f"{subject} was not asked: no time was left.", "Allow more time.")
            late.reached_tool = False
            raise late
        permits = self._admit(keys)
        try:
            with anyio.move_on_after(limit_s):
                answer = await ask()
                record_success(permits)
                return answer
            # Only this scope's own deadline leads here: an outer cancellation has passed through.
            raise GatewayTimeout(f"{subject} did not answer within {limit_s:.1f} s.", advice)
        except GatewayError as error:
            record_failure(keys, permits, error)
            self._remember(keys, error)
            if isinstance(error, GatewayBusy):
                self._rest(keys.by_scope["target"], error.retry_after_s)
            raise
        finally:
            # Cancelled, or an unexpected error: neither says anything about the keys.
            for permit in permits.values():
                permit.ignore()

    def _admit(self, keys: CallKeys) -> Mapping[str, Permit]:
        names = keys.by_scope.values()
        admitted = admit_all({name: self._breakers.get(name) for name in names})
        permits = {name: permit for name, permit in admitted.items() if isinstance(permit, Permit)}
        refusals = {name: one.retry_after_s for name, one in admitted.items() if not isinstance(one, Permit)}
        if refusals:
            last = next((self._met[name] for name in refusals if name in self._met), "")
            raise BreakerOpen(tuple(refusals), max(refusals.values()), last)
        return permits

    def _remember(self, keys: CallKeys, error: GatewayError) -> None:
        """Keep what was met, for those who are refused because of it."""
        counted = {"target"} if isinstance(error, GatewayBusy) else error.counts_against
        for scope, name in keys.by_scope.items():
            if scope in counted:
                self._met[name] = error.tried

    def _rest(self, key: str, retry_after_s: float) -> None:
        self._breakers.get(key).rest(self._clock() + retry_after_s)
        self._log.warning("target_pushed_back", key=key, retry_after_s=round(retry_after_s, 1))

    async def _may_try_again(self, error: GatewayError, tool: Tool, retry: int) -> bool:
        """Whether the call is to be made once more; waits the pause before it."""
        settings = self._retry
        if retry + 1 >= settings.attempts or not may_repeat(error, tool, settings.never):
            return False
        wait_s = pause_s(retry, settings, self._draw)
        if wait_s >= self._time_left_s():
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
        """Seconds the next attempt may take: the caller's deadline less the margin, at most `limit_s`."""
        left_s = anyio.current_effective_deadline() - anyio.current_time()
        return min(self._limit_s, left_s - min(ANSWER_MARGIN_S, abs(left_s) / 20))

    def _make_breaker(self, key: str) -> Breaker:
        def log(transition: Transition) -> None:
            level = self._log.warning if transition.after is State.OPEN else self._log.info
            level("breaker_moved", key=key, before=transition.before.value, after=transition.after.value)

        return Breaker(self._settings, self._clock, log)
