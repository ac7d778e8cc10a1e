"""Hypothesis against the lifecycle: callers come, hold, leave, are cancelled; services die, hang and stop.

The manager, its runners and the policy are the real ones, the processes are those of `host`. Time is trio's
and moves only when a rule moves it, from one deadline to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import anyio
import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service_manager.errors import SleepFailed
from service_manager.manager import ServiceManager
from service_manager.model import TRANSITIONS, CommandSource, Priority, ServiceSpec, State, Transition
from tests.unit.services.callers import Caller, Stage
from tests.unit.services.host import Host, Process, Start
from tests.unit.services.virtual_time import VirtualTime

SERVICES = ("one", "two")
START_S = 8.0
PATIENCE = {Priority.HIGH: 2.0, Priority.NORMAL: 1.0, Priority.LOW: 0.5}
LONG_S = 2000.0
"""Longer than every timeout and backoff here."""

UNDER_WAY = (State.STARTING, State.STOPPING, State.WAKING)

TIMES = st.sampled_from([0.0, 1.0, 4.0, 10.0])
"""Everything is drawn from the same few times, so that things happen at the same moment."""


@dataclass
class Record:
    """What an observer wrote down of one service.

    Attributes:
        started_at: when it last began to run or woke.
        left_at: when its last lease ended.
        sleeps: it is able to sleep.
        excused: somebody stopped it or sent it to sleep, it broke, or its process died: then it may end or
            sleep at any time.
        broken: it was stopped, it broke, or its process died.
    """

    spec: ServiceSpec
    sleeps: bool
    state: State = State.STOPPED
    started_at: float = 0.0
    left_at: float = 0.0
    excused: bool = False
    broken: bool = False

    def due(self) -> float | None:
        """When it is to sleep if nobody comes; None for never."""
        if self.spec.priority is Priority.CRITICAL or not self.sleeps:
            return None
        idle_s = self.spec.idle_timeout_s * PATIENCE[self.spec.priority]
        return max(max(self.started_at, self.left_at) + idle_s, self.started_at + self.spec.min_sleep_time_s)


class Lifecycle(RuleBasedStateMachine):
    """Two services, any number of callers."""

    @initialize(
        idle_s=TIMES,
        least_s=TIMES,
        stop_s=st.sampled_from([0.0, 1.0]),
        priority=st.sampled_from(Priority),
        stateless=st.booleans(),
        sleepers=st.frozensets(st.sampled_from(SERVICES)),
        sleep_s=st.sampled_from([0.0, 0.5]),
        wake_s=st.sampled_from([0.0, 0.04]),
    )
    def open(
        self,
        idle_s: float,
        least_s: float,
        stop_s: float,
        priority: Priority,
        stateless: bool,
        sleepers: frozenset[str],
        sleep_s: float,
        wake_s: float,
    ) -> None:
        self.wrong: list[str] = []
        self.callers: list[Caller] = []
        self.stopping: list[str] = []
        self.open_now = True
        self.time = VirtualTime()
        specs = [
            ServiceSpec(
                name,
                CommandSource((name,)),
                priority=level,
                stateless=stateless,
                idle_timeout_s=idle_s,
                min_sleep_time_s=least_s,
                start_timeout_s=START_S,
            )
            for name, level in zip(SERVICES, (priority, Priority.NORMAL), strict=True)
        ]
        self.records = {spec.name: Record(spec, stateless or spec.name in sleepers) for spec in specs}
        self.host = Host(stop_s, self.ended_by_the_driver, sleepers, sleep_s, wake_s)
        self.manager = ServiceManager(
            specs, self.host, {}, driver=self.host, clock=self.time.now, observe=self.changed, governed=False
        )
        self.time.start(self.hold_open)
        self.act(lambda: None)

    async def hold_open(self) -> None:
        self.end = anyio.Event()
        async with anyio.create_task_group() as self.tasks, self.manager.open():
            await self.end.wait()

    def act(self, act: Callable[[], object]) -> None:
        """Do something in the loop, and see what comes of it before time passes."""

        async def act_and_settle() -> None:
            act()
            await self.time.settle()

        self.time.call(act_and_settle)

    # What is observed while it happens.

    def changed(self, change: Transition) -> None:
        record = self.records[change.service]
        if (change.before, change.after) not in TRANSITIONS or change.before is not record.state:
            self.wrong.append(f"{record.state}: {change}")
        record.state = change.after
        if change.after is State.STARTING or (
            change.after is State.WAKING and not self.alive(change.service)
        ):
            record.excused = record.broken = False
        if change.after is State.RUNNING:
            record.started_at = change.at
        if change.after not in (State.STOPPING, State.SLEEPING) or change.before is not State.RUNNING:
            return
        if record.excused or not self.open_now:
            return
        due = record.due()
        if due is None or change.at < due:
            self.wrong.append(f"{change.after} at {change.at}, due at {due}")
        if self.leases(change.service):
            self.wrong.append(f"{change.after} while {self.leases(change.service)} held it")

    def alive(self, service: str) -> bool:
        return service in self.host.live

    def holds(self, caller: Caller) -> None:
        record = self.records[caller.service]
        if not record.excused and record.state is not State.RUNNING:
            self.wrong.append(f"a session of a service that is {record.state}")
        # It has hung up, and nobody has noticed yet.
        caller.lost = record.broken

    def ended_by_the_driver(self, process: Process) -> None:
        record = self.records[process.name]
        if record.state is State.RUNNING:
            self.wrong.append("ended while it is called running")
        holding = any(
            caller.service == process.name and caller.stage is Stage.HOLDING and not caller.lost
            for caller in self.callers
        )
        if holding and self.open_now and not record.excused:
            self.wrong.append("ended under a caller that holds it")

    def leases(self, service: str, *stages: Stage) -> int:
        counted = stages or (Stage.ASKING, Stage.HOLDING)
        return sum(caller.service == service and caller.stage in counted for caller in self.callers)

    def some(self, stage: Stage, number: int) -> Caller:
        there = [caller for caller in self.callers if caller.stage is stage]
        return there[number % len(there)]

    def excuse(self, service: str) -> None:
        self.records[service].excused = self.records[service].broken = True
        for caller in self.callers:
            caller.lost |= caller.service == service and caller.stage is Stage.HOLDING

    # What may happen.

    @rule(service=st.sampled_from(SERVICES), arrives_in_s=TIMES, callers=st.integers(1, 3))
    def call(self, service: str, arrives_in_s: float, callers: int) -> None:
        def come() -> None:
            for _ in range(callers):
                caller = Caller(service, arrives_in_s)
                self.callers.append(caller)
                self.tasks.start_soon(self.visit, caller)

        self.act(come)

    async def visit(self, caller: Caller) -> None:
        await caller.live(self.manager, self.holds)
        self.records[caller.service].left_at = self.time.now()

    @precondition(lambda self: self.leases_of(Stage.HOLDING))
    @rule(number=st.integers(0, 9), cancelled=st.booleans())
    def let_go(self, number: int, cancelled: bool) -> None:
        caller = self.some(Stage.HOLDING, number)
        self.act(caller.give_up if cancelled else caller.let_go)
        assert caller.stage is Stage.GONE

    @precondition(lambda self: self.leases_of(Stage.ASKING))
    @rule(number=st.integers(0, 9))
    def give_up(self, number: int) -> None:
        caller = self.some(Stage.ASKING, number)
        self.act(caller.give_up)
        assert caller.stage is Stage.GONE

    @precondition(lambda self: self.leases_of(Stage.HOLDING))
    @rule(number=st.integers(0, 9))
    def use(self, number: int) -> None:
        caller = self.some(Stage.HOLDING, number)
        asked = len(caller.answers)
        self.act(partial(self.tasks.start_soon, caller.use))
        self.time.call(partial(self.time.pass_time, 2.0))
        assert len(caller.answers) == asked + 1
        assert caller.answers[-1] == ("ServiceCrashed" if caller.lost else "ok")

    @rule(service=st.sampled_from(SERVICES), seconds=st.sampled_from([0.0, 4.0, 10.0, 30.0]))
    def use_and_leave_alone(self, service: str, seconds: float) -> None:
        self.call(service, 0.0, 1)
        caller = self.callers[-1]
        self.time.call(partial(self.time.pass_time, 1.0))
        if caller.stage is Stage.HOLDING:
            self.act(caller.let_go)
        self.time.call(partial(self.time.pass_time, seconds))

    @rule(service=st.sampled_from(SERVICES), start=st.sampled_from(Start))
    def plan(self, service: str, start: Start) -> None:
        self.host.plan[service] = start

    @rule(service=st.sampled_from(SERVICES))
    def make_installing_slow(self, service: str) -> None:
        self.act(lambda: self.host.installing.setdefault(service, anyio.Event()))

    @precondition(lambda self: self.host.installing)
    @rule(number=st.integers(0, 9))
    def install(self, number: int) -> None:
        service = sorted(self.host.installing)[number % len(self.host.installing)]
        self.act(self.host.installing.pop(service).set)

    @precondition(lambda self: self.host.live)
    @rule(number=st.integers(0, 9), how=st.sampled_from(["die", "hang up"]))
    def break_down(self, number: int, how: str) -> None:
        process = [*self.host.live.values()][number % len(self.host.live)]
        self.excuse(process.name)
        self.act(process.hang_up if how == "hang up" else partial(process.die, 3))

    @rule(service=st.sampled_from(SERVICES))
    def stop(self, service: str) -> None:
        async def stopped() -> None:
            await self.manager.stop(service)
            self.stopping.remove(service)

        def begin() -> None:
            self.excuse(service)
            self.stopping.append(service)
            self.tasks.start_soon(stopped)

        self.act(begin)

    @rule(service=st.sampled_from(SERVICES))
    def send_to_sleep(self, service: str) -> None:
        async def sent() -> None:
            with suppress(SleepFailed):
                await self.manager.sleep(service)

        def begin() -> None:
            if not self.leases(service):
                self.records[service].excused = True
            self.tasks.start_soon(sent)

        self.act(begin)

    @rule(service=st.sampled_from(SERVICES))
    def expect(self, service: str) -> None:
        self.act(partial(self.manager.expect, [service]))

    @precondition(lambda self: self.host.live)
    @rule(number=st.integers(0, 9), what=st.sampled_from(["sleep", "wake"]))
    def make_sleep_hard(self, number: int, what: str) -> None:
        process = [*self.host.live.values()][number % len(self.host.live)]
        process.bed.fails = what
        self.records[process.name].excused = True

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0, 10.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.time.call(partial(self.time.pass_time, seconds))

    def leases_of(self, stage: Stage) -> bool:
        return any(caller.stage is stage for caller in self.callers)

    # What holds at every moment.

    @invariant()
    def nothing_was_seen_going_wrong(self) -> None:
        assert not self.wrong, self.wrong
        assert not self.host.twice
        assert not self.host.disturbed
        assert not any(process.disturbed for process in self.host.live.values())

    @invariant()
    def a_service_is_what_its_status_says(self) -> None:
        for status in self.manager.status():
            record = self.records[status.name]
            process = self.host.live.get(status.name)
            assert status.state is record.state
            assert status.leases == self.leases(status.name)
            assert status.pid == (process.pid if process else None)
            assert process is None or status.state not in (State.STOPPED, State.FAILED)
            assert process is None or not process.bed.asleep or status.state is not State.RUNNING

    @invariant()
    def who_waits_waits_for_something_under_way(self) -> None:
        for caller in self.callers:
            if caller.stage is Stage.ASKING:
                assert self.records[caller.service].state in UNDER_WAY
        for service in self.stopping:
            # A wake under way is not broken off: it takes no time worth mentioning.
            assert self.records[service].state in (State.STOPPING, State.WAKING)

    @invariant()
    def an_idle_service_falls_asleep_in_time(self) -> None:
        for name, record in self.records.items():
            due = record.due()
            if record.excused:
                continue
            if record.state is State.RUNNING and due is not None and not self.leases(name):
                assert self.time.now() < due

    def teardown(self) -> None:
        """Nothing is left over: neither after everybody had time, nor when the manager is closed at once."""
        try:
            self.time.call(self.close)
            assert not self.leases_of(Stage.ASKING)
            assert not self.host.live
            assert not self.wrong, self.wrong
        finally:
            self.time.close()

    async def close(self) -> None:
        for door in self.host.installing.values():
            door.set()
        if len(self.callers) % 2:
            await self.time.pass_time(LONG_S)
            assert not self.stopping
            assert all(caller.stage in (Stage.HOLDING, Stage.GONE) for caller in self.callers)
        self.open_now = False
        self.end.set()
        await self.time.pass_time(LONG_S)
        for caller in self.callers:
            caller.let_go()
        await self.time.settle()


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, report_multiple_bugs=False
)
