"""The pool under any history of calls, cancellations and changes: nothing is lost, and no rule is broken."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from tests.unit.balance.clock import ManualClock
from tool_router.balance.member import Member
from tool_router.balance.pool import Pool
from tool_router.balance.ramp import RampSettings
from tool_router.balance.requirements import CallRequest
from tool_router.balance.selecting import Selecting
from tool_router.balance.target_state import TargetSpec
from tool_router.errors import PoolBusy

NAMES = st.sampled_from(["a", "b", "c"])
QUEUE_LIMIT = 3


@dataclass(eq=False)
class Call:
    """A call of the test: waiting, under way, or over."""

    request: CallRequest
    scope: anyio.CancelScope | None = None
    member: Member[str] | None = None
    place: AbstractContextManager[object] | None = None
    outcome: str = "waiting"


class PoolRules(RuleBasedStateMachine):
    """Drives a pool in an event loop of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.portal: BlockingPortal = self.stack.enter_context(start_blocking_portal())
        self.clock = ManualClock()
        self.refused: set[str] = set()
        self.all: list[Call] = []

    @initialize(strategy=st.sampled_from(["round_robin", "least_loaded", "power_of_two", "hybrid"]))
    def begin(self, strategy: str) -> None:
        self.pool = Pool[str](
            Selecting(strategy), clock=self.clock, queue_limit=QUEUE_LIMIT, ramp=RampSettings(0.1, 5.0)
        )
        self.pool.add(TargetSpec("a", capacity=1, labels=frozenset({"gpu"})), "a")
        self.pool.add(TargetSpec("b", capacity=2), "b")

    def teardown(self) -> None:
        for call in self.all:
            self.cancel_now(call)
        self.stack.close()

    def cancel_now(self, call: Call) -> None:
        if call.scope is not None:
            self.portal.call(call.scope.cancel)
            self.settle()

    def admits(self, name: str) -> bool:
        return name not in self.refused

    def settle(self) -> None:
        self.portal.call(anyio.wait_all_tasks_blocked)

    @rule(wanted=st.lists(st.sampled_from([False, False, True]), min_size=1, max_size=4))
    def burst(self, wanted: list[bool]) -> None:
        for gpu in wanted:
            self.call(gpu=gpu)

    def call(self, *, gpu: bool) -> None:
        one = Call(CallRequest(labels=frozenset({"gpu"}) if gpu else frozenset()))

        async def run() -> None:
            with anyio.CancelScope() as one.scope:
                try:
                    one.member = await self.pool.acquire(self.admits, one.request)
                except PoolBusy:
                    one.outcome = "busy"
                    return
                if one.member is None:
                    one.outcome = "none"
                    return
                one.outcome = "under way"
                assert one.request.labels <= one.member.state.spec.labels
                one.place = self.pool.lease(one.member, one.request)
                one.place.__enter__()
            if one.scope.cancelled_caught:
                one.outcome = "cancelled"

        self.portal.start_task_soon(run)
        self.settle()
        self.all.append(one)

    @rule(which=st.integers(0, 100))
    def end(self, which: int) -> None:
        running = [call for call in self.all if call.outcome == "under way"]
        if not running:
            return
        call = running[which % len(running)]
        assert call.place is not None
        call.outcome = "over"
        self.portal.call(call.place.__exit__, None, None, None)
        self.settle()

    @rule(which=st.integers(0, 100))
    def cancel(self, which: int) -> None:
        waiting = [call for call in self.all if call.outcome == "waiting"]
        if waiting:
            call = waiting[which % len(waiting)]
            self.cancel_now(call)

    @rule(name=NAMES, capacity=st.integers(0, 2), gpu=st.booleans())
    def add(self, name: str, capacity: int, gpu: bool) -> None:
        labels = frozenset({"gpu"}) if gpu else frozenset[str]()
        self.portal.call(self.pool.add, TargetSpec(name, capacity=capacity, labels=labels), name)
        self.settle()

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        if len(self.pool) > 1:
            self.portal.call(self.pool.remove, name)
            self.settle()

    @rule(name=NAMES, what=st.sampled_from(["drain", "resume"]))
    def use(self, name: str, what: str) -> None:
        if any(member.name == name for member in self.pool.members()):
            self.portal.call(getattr(self.pool, what), name)
            self.settle()

    @rule(name=NAMES, works=st.booleans())
    def health(self, name: str, works: bool) -> None:
        if works:
            self.portal.call(self.pool.working, name)
        else:
            self.portal.call(self.pool.failing, name, "it hangs")
        self.settle()

    @rule(name=NAMES)
    def breaker_opens(self, name: str) -> None:
        self.refused.add(name)
        self.portal.call(self.pool.review)
        self.settle()

    @rule(name=NAMES)
    def breaker_closes(self, name: str) -> None:
        self.refused.discard(name)
        self.portal.call(self.pool.review)
        self.settle()

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def every_call_is_counted_once(self) -> None:
        under_way: dict[int, int] = {}
        for call in self.all:
            if call.outcome == "under way":
                under_way[id(call.member)] = under_way.get(id(call.member), 0) + 1
        for member in self.pool.members() if hasattr(self, "pool") else ():
            assert member.state.in_flight == under_way.get(id(member), 0)

    @invariant()
    def the_queue_is_what_waits_and_bounded(self) -> None:
        if hasattr(self, "pool"):
            assert self.pool.waiting == sum(call.outcome == "waiting" for call in self.all) <= QUEUE_LIMIT

    @invariant()
    def nobody_waits_for_a_place_that_is_free(self) -> None:
        if not hasattr(self, "pool"):
            return
        for call in self.all:
            if call.outcome == "waiting":
                admitted = [
                    member
                    for member in self.pool.members()
                    if not member.drained
                    and call.request.labels <= member.state.spec.labels
                    and self.admits(member.name)
                ]
                # A target that fails takes no overflow of those that work.
                working = [member for member in admitted if not member.failing] or admitted
                assert working
                assert all(member.full for member in working)


PoolRules.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestPoolRules = PoolRules.TestCase
