"""A target in a pool, and the right to make one call of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio

from tool_router.balance.breaker import Clock
from tool_router.balance.ramp import Ramp
from tool_router.balance.requirements import CallRequest
from tool_router.balance.target_state import TargetState
from tool_router.balance.window import Result

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Member(Generic[T]):
    """A target in the pool.

    Attributes:
        target: what is called.
        state: what strategies see of it.
        ramp: its share of calls while it comes back.
        drained: a person has taken it out of use; calls under way go on.
        failing: why health checks or breakers say that it does not work; empty when nothing is known against
            it. It is called only when every other target is out of use as well.
        discovered: whether it was found by DNS rather than named in the settings.
        priority: only targets of the lowest number are called while any of them works (SRV records).
        emptied: set when its last call under way ends; replaced by whoever waits.
    """

    target: T
    state: TargetState
    ramp: Ramp
    drained: bool = False
    failing: str = ""
    discovered: bool = False
    priority: int = 0
    emptied: anyio.Event = field(default_factory=anyio.Event)

    @property
    def name(self) -> str:
        """The target's name."""
        return self.state.spec.name

    @property
    def full(self) -> bool:
        """Whether it has as many calls under way as it may."""
        capacity = self.state.spec.capacity
        return 0 < capacity <= self.state.in_flight


class Lease(Generic[T]):
    """The right to make one call of a target, counted as in flight until it is left."""

    __slots__ = ("_clock", "_request", "_started", "member")

    def __init__(self, member: Member[T], request: CallRequest, clock: Clock) -> None:
        self.member = member
        self._request = request
        self._clock = clock
        self._started = clock()

    def record(self, result: Result) -> None:
        """Tell the target's window what became of the call; a cancelled call says nothing."""
        latency_ms = (self._clock() - self._started) * 1000
        self.member.state.window.record(result, latency_ms, self._request.category)
