"""A load on a balanced gateway, one of whose heads is frozen in the middle of it.

The load is open: calls begin at their times whether or not earlier ones have ended, so that a head which
answers late can't hold back what would show it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
import anyio.abc
from mcp.types import CallToolResult, TextContent

from tool_router.balance.balanced import BalancedGateway
from tool_router.balance.breaker import State, Transition
from tool_router.balance.outcome import CallKeys
from tool_router.catalog.model import Tool
from tool_router.errors import GatewayError
from tool_router.evaluation.failover import Attempt, Call, Observed
from tool_router.gateway.protocol import no_progress

KEY = "key"
HOLD_S = "hold_s"
"""The arguments of a call: what tells it from every other, and after how many seconds it is answered. The
tool answers with the key."""

LOOK_S = 0.01
"""How often it is looked whether a head was found failing."""


@dataclass(frozen=True, slots=True)
class Course:
    """How the load goes.

    Quick calls begin all the time and are measured; held ones only fill the heads. The head is frozen
    `before_s` after the last held call has begun.

    Attributes:
        held: how many calls are held.
        ramp_s: seconds in which they begin.
        held_s: seconds until each is answered; more than `ramp_s` and `before_s` together.
        held_limit_s: the longest a held call may take.
        per_s: quick calls in a second.
        quick_s: seconds until a quick one is answered.
        limit_s: the longest a quick call may take.
        before_s, after_s: seconds of quick calls before the head is frozen, and from then on.
    """

    held: int
    ramp_s: float
    held_s: float
    held_limit_s: float
    per_s: float
    quick_s: float
    limit_s: float
    before_s: float
    after_s: float


async def freeze_one(
    gateway: BalancedGateway,
    quick: Sequence[Tool],
    held: Sequence[Tool],
    target: str,
    course: Course,
    freeze: Callable[[], None],
) -> Observed:
    """Make the calls, and freeze a head on the way; returns when every call has ended.

    Args:
        gateway: open, and what is called.
        quick: the tools of quick calls, called in turns.
        held: the tools of held calls.
        target: the name of the head.
        course: how the load goes.
        freeze: freezes it.
    """
    load, watch = _Load(gateway), _Watch(gateway, target, quick)
    before, after = (round(course.per_s * seconds) for seconds in (course.before_s, course.after_s))
    under_way, frozen_at = 0, 0.0
    async with anyio.create_task_group() as tasks:
        filling = _Stream("held", held, course.held, course.ramp_s, course.held_s, course.held_limit_s, False)
        await load.make(filling, tasks)
        await load.make(
            _Stream("before", quick, before, course.before_s, course.quick_s, course.limit_s), tasks
        )
        under_way, frozen_at = load.under_way, anyio.current_time()
        freeze()
        tasks.start_soon(watch.run)
        await load.make(_Stream("after", quick, after, course.after_s, course.quick_s, course.limit_s), tasks)
        watch.stop()
    return Observed(tuple(load.calls), target, under_way, frozen_at, watch.out_at)


@dataclass(frozen=True, slots=True)
class _Stream:
    """Calls that begin at even distances.

    Attributes:
        name: begins their keys.
        tools: called in turns.
        count: how many calls.
        over_s: seconds in which they begin.
        hold_s: after how many each is answered.
        limit_s: the longest a call may take.
        measured: whether their times count.
    """

    name: str
    tools: Sequence[Tool]
    count: int
    over_s: float
    hold_s: float
    limit_s: float
    measured: bool = True


class _Load:
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

    async def make(self, stream: _Stream, tasks: anyio.abc.TaskGroup) -> None:
        """Begin the calls of a stream; returns when its time is over, not the calls."""
        started = anyio.current_time()
        for number in range(stream.count):
            await anyio.sleep_until(started + number * stream.over_s / stream.count)
            tasks.start_soon(self._call, stream, number)
        await anyio.sleep_until(started + stream.over_s)

    async def _call(self, stream: _Stream, number: int) -> None:
        tool, key = stream.tools[number % len(stream.tools)], f"{stream.name}-{number}"
        attempts: list[Attempt] = []
        failure, wrong = "", False
        began = anyio.current_time()
        self.under_way += 1
        try:
            with anyio.fail_after(stream.limit_s):
                result = await self._gateway.call(
                    tool,
                    {KEY: key, HOLD_S: stream.hold_s},
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
        self.calls.append(
            Call(key, may_repeat, stream.measured, began, ended, tuple(attempts), failure, wrong)
        )


class _Watch:
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
        self._stopped = False
        shared = len(gateway.pool) == 1
        self._keys = [CallKeys.of(target, tool, shared=shared) for tool in tools]
        gateway.admission.listen(self._moved)

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True

    async def run(self) -> None:
        """Look until it is out of use, or told to stop."""
        while self.out_at is None and not self._stopped:
            if self._gateway.pool.get(self._target).failing:
                self.out_at = anyio.current_time()
            await anyio.sleep(LOOK_S)

    def _moved(self, key: str, transition: Transition) -> None:
        if self.out_at is None and transition.after is State.OPEN:
            admission = self._gateway.admission
            if all(admission.refusal(keys) is not None for keys in self._keys):
                self.out_at = anyio.current_time()


def _text(result: CallToolResult) -> str:
    first = result.content[0] if result.content else None
    return first.text if isinstance(first, TextContent) else ""
