"""What becomes of calls when one of several heads is frozen: a load, and what is said about it afterwards.

The load is open: calls begin at their times whether or not earlier ones have ended, so that a head which
answers late can't hold back what would show it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import anyio
import anyio.abc
from mcp.types import CallToolResult, TextContent

from tool_router.balance.balanced import BalancedGateway
from tool_router.balance.breaker import State, Transition
from tool_router.balance.outcome import CallKeys
from tool_router.catalog.model import Tool
from tool_router.errors import GatewayError
from tool_router.gateway.protocol import no_progress

MOST_RATIO = 1.5
"""How much slower calls of the other heads may be (p95): what this project promises."""

KEY = "key"
HOLD_S = "hold_s"
"""The arguments of a call: what tells it from every other, and after how many seconds it is answered. The
tool answers with the key."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A head that was asked, and when, by the event loop's clock."""

    target: str
    at: float


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has ended.

    Attributes:
        key: tells it from every other.
        may_repeat: whether its tool says that it may be called twice.
        measured: whether its time counts; that of calls which only fill the heads does not.
        began, ended: by the event loop's clock.
        attempts: the heads that were asked, in order.
        failure: what it met instead of an answer; empty where it was answered.
        wrong: whether it was answered with something else than was asked for.
    """

    key: str
    may_repeat: bool
    measured: bool
    began: float
    ended: float
    attempts: tuple[Attempt, ...]
    failure: str = ""
    wrong: bool = False

    @property
    def answered(self) -> bool:
        """Whether it got the answer to what it asked."""
        return not self.failure and not self.wrong


@dataclass(frozen=True, slots=True)
class Spread:
    """Times of calls, in milliseconds."""

    n: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class FailoverReport:
    """What a frozen head did to the calls of all.

    Attributes:
        calls: how many were made.
        under_way: how many were under way when the head was frozen.
        out_after_s: seconds until no tool's call was admitted to it any more.
        lost: failed calls that had been given to the frozen head before that.
        failed_after: what other calls met that failed after that.
        wrong: calls that got another call's answer.
        twice: keys of calls that arrived more than once though their tool says nothing of being repeatable.
        unseen: keys of answered calls that never arrived.
        undisturbed, others: times of measured calls before the freeze, and of those from then on that were
            not given to the frozen head.
    """

    calls: int
    under_way: int
    out_after_s: float
    lost: int
    failed_after: Sequence[str]
    wrong: int
    twice: Sequence[str]
    unseen: Sequence[str]
    undisturbed: Spread
    others: Spread

    @property
    def ratio(self) -> float:
        """The others' p95 over the undisturbed one."""
        return self.others.p95_ms / self.undisturbed.p95_ms if self.undisturbed.n else math.inf

    @property
    def reached(self) -> bool:
        """Whether everything promised was kept."""
        broken = self.failed_after or self.wrong or self.twice or self.unseen
        return not broken and self.others.n > 0 and self.ratio <= MOST_RATIO

    def to_json(self) -> dict[str, Any]:
        """As values that JSON knows."""
        return asdict(self) | {"ratio": self.ratio, "most_ratio": MOST_RATIO, "reached": self.reached}


class Load:
    """Calls of a balanced gateway, each under a key of its own.

    Attributes:
        calls: those that have ended.
        under_way: how many have not.

    Args:
        gateway: open, and what is called.
    """

    def __init__(self, gateway: BalancedGateway) -> None:
        self.calls: list[Call] = []
        self.under_way = 0
        self._gateway = gateway

    async def stream(
        self,
        tools: Sequence[Tool],
        count: int,
        over_s: float,
        *,
        name: str,
        hold_s: float,
        limit_s: float,
        tasks: anyio.abc.TaskGroup,
        measured: bool = True,
    ) -> None:
        """Begin calls at even distances; returns when the time of the last one is over.

        Args:
            tools: called in turns.
            count: how many calls.
            over_s: seconds from the first to the end of the last one's distance; 0 begins all at once.
            name: begins their keys.
            hold_s: after how many seconds each is answered.
            limit_s: the longest a call may take.
            tasks: in which the calls are made.
            measured: whether their times count.
        """
        started = anyio.current_time()
        for number in range(count):
            await anyio.sleep_until(started + number * over_s / count)
            tool = tools[number % len(tools)]
            tasks.start_soon(self._call, tool, f"{name}-{number}", hold_s, limit_s, measured)
        await anyio.sleep_until(started + over_s)

    async def _call(self, tool: Tool, key: str, hold_s: float, limit_s: float, measured: bool) -> None:
        attempts: list[Attempt] = []
        failure, wrong = "", False
        began = anyio.current_time()
        self.under_way += 1
        try:
            with anyio.fail_after(limit_s):
                result = await self._gateway.call(
                    tool,
                    {KEY: key, HOLD_S: hold_s},
                    no_progress,
                    on_target=lambda target: attempts.append(Attempt(target, anyio.current_time())),
                )
            if result.is_error:
                failure = f"the tool's own error: {_text(result)}"
            else:
                wrong = _text(result) != key
        except (GatewayError, TimeoutError) as error:
            failure = f"{type(error).__name__}: {error}"
        finally:
            self.under_way -= 1
        may_repeat = tool.hints.read_only is True or tool.hints.idempotent is True
        ended = anyio.current_time()
        self.calls.append(Call(key, may_repeat, measured, began, ended, tuple(attempts), failure, wrong))


class Watch:
    """Notes when a head is out of use for every one of some tools: by breakers, or found failing.

    Attributes:
        out_at: when, by the event loop's clock; None while it is in use.

    Args:
        gateway: what balances.
        target: the head's name.
        tools: those that are called.
    """

    def __init__(self, gateway: BalancedGateway, target: str, tools: Sequence[Tool]) -> None:
        self.out_at: float | None = None
        self._gateway = gateway
        self._target = target
        shared = len(gateway.pool) == 1
        self._keys = [CallKeys.of(target, tool, shared=shared) for tool in tools]
        gateway.admission.listen(self._moved)

    async def wait(self, limit_s: float) -> float:
        """When it went out of use.

        Raises:
            TimeoutError: it did not within this time.
        """
        with anyio.fail_after(limit_s):
            while self.out_at is None:
                if self._gateway.pool.get(self._target).failing:
                    self.out_at = anyio.current_time()
                    break
                await anyio.sleep(0.01)
        return self.out_at

    def _moved(self, key: str, transition: Transition) -> None:
        if self.out_at is None and transition.after is State.OPEN:
            admission = self._gateway.admission
            if all(admission.refusal(keys) is not None for keys in self._keys):
                self.out_at = anyio.current_time()


def judge(
    calls: Sequence[Call],
    arrived: Mapping[str, int],
    *,
    target: str,
    under_way: int,
    frozen_at: float,
    out_at: float,
) -> FailoverReport:
    """Say what became of the calls. Pure.

    Args:
        calls: all that were made, before and after.
        arrived: how often each key arrived at the tools.
        target: the name of the frozen head.
        under_way: calls that were under way when it was frozen.
        frozen_at: when it was frozen.
        out_at: when it was out of use.
    """
    failed = [call for call in calls if call.failure]
    lost = [call for call in failed if _was_given(call, target, out_at)]
    excused = {call.key for call in lost}
    before = [call for call in calls if call.measured and call.answered and call.ended <= frozen_at]
    others = [
        call
        for call in calls
        if call.measured
        and call.answered
        and call.ended > frozen_at
        and not any(one.target == target for one in call.attempts)
    ]
    return FailoverReport(
        calls=len(calls),
        under_way=under_way,
        out_after_s=out_at - frozen_at,
        lost=len(lost),
        failed_after=tuple(f"{call.key}: {call.failure}" for call in failed if call.key not in excused),
        wrong=sum(call.wrong for call in calls),
        twice=tuple(call.key for call in calls if not call.may_repeat and arrived.get(call.key, 0) > 1),
        unseen=tuple(call.key for call in calls if call.answered and not arrived.get(call.key)),
        undisturbed=_spread([call.ended - call.began for call in before]),
        others=_spread([call.ended - call.began for call in others]),
    )


def _was_given(call: Call, target: str, out_at: float) -> bool:
    """Whether the last head that was asked is this one, before it was out of use."""
    return bool(call.attempts) and call.attempts[-1].target == target and call.attempts[-1].at < out_at


def _spread(times_s: Sequence[float]) -> Spread:
    if not times_s:
        return Spread(0, math.nan, math.nan)
    ordered = sorted(times_s)
    last = len(ordered) - 1
    return Spread(len(ordered), ordered[last // 2] * 1000, ordered[math.ceil(0.95 * last)] * 1000)


def _text(result: CallToolResult) -> str:
    first = result.content[0] if result.content else None
    return first.text if isinstance(first, TextContent) else ""
