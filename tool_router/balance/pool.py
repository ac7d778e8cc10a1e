"""A pool of targets that can stand in for each other: who is in it, who gets the next call, who waits.

Not thread-safe: one event loop owns a pool. Choosing never awaits; only a call for which every target is full
waits, in order of arrival, in a queue of bounded length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from tool_router.balance.breaker import Clock
from tool_router.balance.member import Lease, Member
from tool_router.balance.ramp import Ramp, RampSettings
from tool_router.balance.requirements import CallRequest, has_labels
from tool_router.balance.selecting import Selecting
from tool_router.balance.target_state import TargetSpec, TargetState
from tool_router.balance.window import PerformanceWindow
from tool_router.errors import PoolBusy

T = TypeVar("T")
Admits = Callable[[str], bool]
"""Whether a target of this name may be called now; changes nothing."""

MOST_WAIT_S = 30.0
"""The longest pause that is advised when the queue is full."""


@dataclass(slots=True, eq=False)
class _Waiter(Generic[T]):
    admits: Admits
    request: CallRequest
    event: anyio.Event
    member: Member[T] | None = None


class Pool(Generic[T]):
    """Targets by name.

    Args:
        selecting: chooses among targets.
        clock: monotonic seconds.
        queue_limit: calls that may wait while every target is full; 0 lets none wait.
        ramp: how a target that was out of use gets its share back.
    """

    def __init__(
        self,
        selecting: Selecting,
        *,
        clock: Clock = anyio.current_time,
        queue_limit: int = 1000,
        ramp: RampSettings | None = None,
    ) -> None:
        self.selecting = selecting
        self._clock = clock
        self._queue_limit = queue_limit
        self._ramp = ramp or RampSettings()
        self._members: dict[str, Member[T]] = {}
        self._queue: deque[_Waiter[T]] = deque()

    def __len__(self) -> int:
        return len(self._members)

    @property
    def waiting(self) -> int:
        """How many calls wait for a target that is not full."""
        return len(self._queue)

    def members(self) -> Sequence[Member[T]]:
        """Every target, in the order of registration."""
        return tuple(self._members.values())

    def get(self, name: str) -> Member[T]:
        """The target of that name.

        Raises:
            KeyError: there is none.
        """
        return self._members[name]

    def add(self, spec: TargetSpec, target: T) -> Member[T]:
        """Register a target; one of that name keeps its history and gets the new specification."""
        member = self._members.get(spec.name)
        if member is None:
            state = TargetState(spec, PerformanceWindow(self._clock))
            # One that joins others is unproved; the first ones have nobody to lean on.
            ramp = Ramp(self._ramp, self._clock, rising=any(m.state.in_flight for m in self.members()))
            member = self._members[spec.name] = Member(target, state, ramp)
        else:
            member.state.spec = spec
        self.review()
        return member

    def change(self, spec: TargetSpec) -> None:
        """Give the target of that name a new specification: its weight, capacity, labels, ...

        Raises:
            KeyError: there is no such target.
        """
        self._members[spec.name].state.spec = spec
        self.review()

    def remove(self, name: str) -> Member[T] | None:
        """Take a target out; calls under way go on. None when there is none of that name."""
        member = self._members.pop(name, None)
        self.review()
        return member

    def drain(self, name: str) -> None:
        """Send a target no more calls; those under way go on.

        Raises:
            KeyError: there is no such target.
        """
        self._members[name].drained = True
        self.review()

    def resume(self, name: str) -> None:
        """Use a drained or failing target again, a little at first.

        Raises:
            KeyError: there is no such target.
        """
        member = self._members[name]
        if member.drained or member.failing:
            member.drained, member.failing = False, ""
            member.ramp.start()
        self._hand_out(member)

    def failing(self, name: str, reason: str) -> None:
        """Note that a target does not work; it is the last to be called until `working`."""
        member = self._members.get(name)
        if member is not None:
            member.failing = reason or "it failed"
            self.review()

    def working(self, name: str) -> None:
        """Note that a target works; one that was failing gets its share back a little at a time."""
        member = self._members.get(name)
        if member is not None and member.failing:
            member.failing = ""
            member.ramp.start()
            self._hand_out(member)

    def usable(
        self, admits: Admits, request: CallRequest, without: Collection[str] = ()
    ) -> Sequence[Member[T]]:
        """The targets of the next call: in use, fitting, admitted and not full.

        Failing ones only where there are no others, and of what is left those of the first priority: calls
        wait for a good target that is full rather than go to a bad one.
        """
        found = list(self._fitting(admits, request, without))
        found = [member for member in found if not member.failing] or found
        first = min((member.priority for member in found), default=0)
        return [member for member in found if member.priority == first and not member.full]

    def choose(self, admits: Admits, request: CallRequest, without: Collection[str] = ()) -> Member[T] | None:
        """The target that would get a call now; None when there is none to choose from."""
        usable = self.usable(admits, request, without)
        if not usable:
            return None
        for member in usable:
            member.state.share = member.ramp.share()
        return usable[self.selecting.choose([member.state for member in usable], request)]

    def admitted(self, admits: Admits, request: CallRequest, without: Collection[str] = ()) -> bool:
        """Whether any target may be called now or as soon as it is no longer full."""
        return any(True for _ in self._fitting(admits, request, without))

    def fits(self, request: CallRequest) -> bool:
        """Whether any target in use has the labels that a call requires, admitted or not."""
        return any(
            has_labels(member.state, request) for member in self._members.values() if not member.drained
        )

    def take(self, admits: Admits, request: CallRequest, without: Collection[str] = ()) -> Member[T] | None:
        """Take a place at a target for one call, without waiting; see `lease`.

        Returns:
            The member, its call counted as in flight; None when no target is free, in use and admitted.
        """
        member = self.choose(admits, request, without)
        if member is not None:
            member.state.in_flight += 1
        return member

    async def acquire(
        self, admits: Admits, request: CallRequest, without: Collection[str] = ()
    ) -> Member[T] | None:
        """Take a place at a target for one call, waiting for one while all are full.

        Returns:
            The member, its call counted as in flight; None when no target is in use and admitted.

        Raises:
            PoolBusy: every target is full, and so is the queue.
        """
        member = self.take(admits, request, without)
        if member is not None or not self.admitted(admits, request, without):
            return member
        if len(self._queue) >= self._queue_limit:
            raise PoolBusy(len(self._queue), self.busy_s())
        return await self._wait(lambda name: name not in without and admits(name), request)

    @contextmanager
    def lease(self, member: Member[T], request: CallRequest) -> Generator[Lease[T]]:
        """Hold what `acquire` gave for the time of the call."""
        try:
            yield Lease(member, request, self._clock)
        finally:
            self.give_back(member)

    async def emptied(self, member: Member[T]) -> None:
        """Return when no call of a target is under way."""
        while member.state.in_flight:
            member.emptied = anyio.Event()
            await member.emptied.wait()

    def review(self) -> None:
        """See to those who wait when targets have changed: some have a place now, some wait for nothing."""
        for member in self.members():
            self._hand_out(member)
        for waiter in tuple(self._queue):
            if not self.admitted(waiter.admits, waiter.request):
                self._queue.remove(waiter)
                waiter.event.set()
        self._count_waiting()

    async def _wait(self, admits: Admits, request: CallRequest) -> Member[T] | None:
        waiter = _Waiter[T](admits, request, anyio.Event())
        self._queue.append(waiter)
        self._count_waiting()
        waited = False
        try:
            await waiter.event.wait()
            waited = True
        finally:
            if not waited:
                self._abandon(waiter)
        return waiter.member

    def _abandon(self, waiter: _Waiter[T]) -> None:
        """Forget a caller that was cancelled while it waited."""
        if waiter.member is not None:
            # The place was handed over at the same moment.
            self.give_back(waiter.member)
        elif waiter in self._queue:
            self._queue.remove(waiter)
            self._count_waiting()

    def _fitting(self, admits: Admits, request: CallRequest, without: Collection[str]) -> Iterator[Member[T]]:
        """The targets in use that have the labels of a call and are admitted."""
        for member in self._members.values():
            if member.drained or member.name in without or not has_labels(member.state, request):
                continue
            if admits(member.name):
                yield member

    def give_back(self, member: Member[T]) -> None:
        """Give a place back that no lease holds."""
        member.state.in_flight -= 1
        if not member.state.in_flight:
            member.emptied.set()
        self._hand_out(member)

    def _hand_out(self, member: Member[T]) -> None:
        """Give the free places of a target to those who wait for it, the first come first."""
        if not self._queue or member.drained or self._members.get(member.name) is not member:
            return
        for waiter in tuple(self._queue):
            if member.full:
                break
            if member in self.usable(waiter.admits, waiter.request):
                self._queue.remove(waiter)
                member.state.in_flight += 1
                waiter.member = member
                waiter.event.set()
        self._count_waiting()

    def _count_waiting(self) -> None:
        for member in self._members.values():
            member.state.queued = len(self._queue)

    def busy_s(self) -> float:
        """When a place in the queue may be free, by the pace of late: half of those who wait gone."""
        per_s = sum(
            max(member.state.spec.capacity, 1) / max(member.state.window.summary().p50_ms, 1.0) * 1000
            for member in self._members.values()
            if not member.drained
        )
        return min(MOST_WAIT_S, max(1.0, len(self._queue) / 2 / per_s)) if per_s else MOST_WAIT_S
