"""One service: started on first need, shared by its leases, asleep when idle. Single writer of its state."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import structlog
from mcp import MCPError
from mcp.client.client import ConnectMode

from service_manager.drivers.protocol import UNHEALTHY
from service_manager.errors import ServiceManagerError, ServiceStartFailed, SleepFailed
from service_manager.journal import Journal
from service_manager.lifecycle.audience import Audience
from service_manager.lifecycle.demand import Demand
from service_manager.lifecycle.known import Known
from service_manager.lifecycle.life import Circumstances, Life
from service_manager.lifecycle.replay import SessionState
from service_manager.lifecycle.session import ServiceSession
from service_manager.lifecycle.settings import SessionSettings
from service_manager.lifecycle.sleeping import Sleeping
from service_manager.lifecycle.surroundings import Surroundings
from service_manager.model import Priority, Progress, ServiceSpec, State, Tier, Transition
from service_manager.policy.idle import Usage, sleep_at
from service_manager.policy.restart import Failures
from service_manager.resources import Limits, ResourceUse
from service_manager.status import Check, ServiceStatus


class Runner:
    """The lifecycle of one service.

    Args:
        spec: the service.
        limits: what it may use.
        sleeping: how it sleeps.
        known: what is known of it before it runs.
        unavailable: why it can't run here; empty when it can.
        shared: what it shares with the others.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        limits: Limits,
        sleeping: Sleeping,
        known: Known,
        unavailable: str,
        shared: Surroundings,
    ) -> None:
        self.spec = spec
        self.unavailable = unavailable
        self.known = known
        self.journal = Journal()
        self.audience = Audience()
        self._limits = limits
        self._sleeping = sleeping
        self._shared = shared
        self._log = structlog.get_logger().bind(service=spec.name)
        self._demand = Demand(shared.clock)
        self._session_state = SessionState()
        self.settings = SessionSettings(self._session_state, self._ask, lambda: self.alive, self.reconsider)
        self._failures = Failures()
        self._state = State.STOPPED
        self._life: Life | None = None
        self._era: ConnectMode = "auto"
        self._gone = anyio.Event()
        self._gone.set()
        self._closed = False
        self._told_to_stop = False
        self._starts = 0
        self._crashes = 0
        self._failure = ""
        self._awake_since = 0.0
        self._started_at = 0.0
        self._start_ms: float | None = None
        self._around = Circumstances(
            spec,
            shared.resolver,
            shared.driver,
            limits,
            self.journal,
            self._demand,
            sleeping,
            self._session_state,
            self._due,
            self._move,
            self.audience.tell,
            self._learnt,
            shared.clock,
        )

    @property
    def state(self) -> State:
        """Where it is in its lifecycle."""
        return self._state

    def hold(self) -> None:
        """Take a lease: a held service does not fall asleep."""
        self._demand.hold()

    def release(self) -> None:
        """Give a lease back; idle time counts from the last one."""
        self._demand.release()

    async def ready(self, progress: Progress | None = None) -> ServiceSession:
        """A session with the running service; starts or wakes it, or joins whoever does.

        Raises:
            ServiceManagerError: it did not start.
        """
        while True:
            await self._gone_if_stopping()
            life = self._life or self._start()
            if progress is not None:
                life.listeners.append(progress)
            try:
                await life.settled.wait()
            finally:
                if progress is not None:
                    life.listeners.remove(progress)
            if life.session is None:
                raise life.error or ServiceStartFailed(f"{self.spec.name} was stopped while it started.")
            if not self._demand.leases:
                self._demand.wake = True
                self._demand.notify()
            while self._life is life and self._state in (State.SLEEPING, State.WAKING):
                await life.awake.wait()
            if self._life is life and self._state is State.RUNNING:
                return life.session

    async def stop(self) -> None:
        """Stop the service now, leased or not, and return when it has ended."""
        self._told_to_stop = True
        if self._life is not None:
            self._demand.stop = True
            if self._state in (State.STARTING, State.WAKING) and self._life.session is None:
                # An installation may take minutes.
                self._move(State.STOPPING)
                self._life.scope.cancel()
            self._demand.notify()
            await self._gone.wait()
        self._failures, self._failure = Failures(), ""
        if self._state in (State.FAILED, State.SLEEPING):
            self._move(State.STOPPED)

    async def sleep(self, *, hurried: bool = False) -> None:
        """Let it fall asleep now, however long it has been idle, and return when it is.

        Args:
            hurried: somebody waits for its room.

        Raises:
            SleepFailed: it is used, it does not run, or it can't sleep.
        """
        if self._sleeps():
            return
        if self.state is not State.RUNNING:
            raise SleepFailed(f"{self.spec.name} is {self._state}.", "Only what runs can be put to sleep.")
        if self._demand.leases or self._session_state.subscribed:
            raise SleepFailed(f"{self.spec.name} is in use.", "Try again when its requests are answered.")
        await self._demand.ask_to_sleep(hurried=hurried).wait()
        await self._gone_if_stopping()
        if not self._sleeps():
            why = self._sleeping.status().reason
            raise SleepFailed(f"{self.spec.name} did not fall asleep, or was woken at once. {why}".strip())

    def expect(self) -> None:
        """Wake it ahead of a call that may come; nothing happens where it is awake, or was never started."""
        if self._state is not State.SLEEPING or self.unavailable or self._closed:
            return
        if self._life is None:
            self._start()
        else:
            self._demand.wake = True
            self._demand.notify()

    async def break_off(self, why: str) -> None:
        """Stop it for what it does, and say why."""
        await self.stop()
        self._failure = why
        self._log.warning("service_broken_off", reason=why)

    def reconsider(self) -> None:
        """Look again at when it is to sleep: what that depends on has changed."""
        self._demand.notify()

    def close(self) -> None:
        """Start it no more; its task group is about to end."""
        self._closed = True

    async def retire(self, within_s: float) -> None:
        """Start it no more, let its leases end, at most for so long, and stop it."""
        self._closed = True
        with anyio.move_on_after(within_s):
            while self._demand.leases:
                await self._demand.change()
        await self.stop()

    def status(self) -> ServiceStatus:
        """What `status` shows."""
        demand = self._demand
        idle_since = None if demand.leases else demand.idle_since
        running = self._life.running if self._life else None
        return ServiceStatus(
            name=self.spec.name,
            state=self._state,
            priority=self.spec.priority,
            unavailable_reason=self.unavailable,
            failure=self._failure,
            pid=running.pid if running else None,
            leases=demand.leases,
            starts=self._starts,
            crashes=self._crashes,
            idle_s=None if idle_since is None else self._shared.clock() - idle_since,
            last_start_ms=self._start_ms,
            sleeping=self._sleeping.status(),
            limits=self._limits,
            enforced=dict(self.enforced),
        )

    def usage(self) -> Usage:
        """What the policy looks at."""
        idle_since = max(self._awake_since, self._demand.idle_since or self._awake_since)
        held = self._demand.leases + self._session_state.subscribed
        return Usage(held, self._awake_since, idle_since)

    @property
    def alive(self) -> bool:
        """Whether it has processes, awake or asleep."""
        return self._life is not None

    @property
    def limits(self) -> Limits:
        """What it may use."""
        return self._limits

    @property
    def enforced(self) -> Mapping[str, str]:
        """By what each limit is enforced; empty when it does not run."""
        running = self._life.running if self._life else None
        return {} if running is None else running.enforced

    async def check(self, within_s: float) -> Check:
        """Whether it is well; asks it only where it is awake, at most for so many seconds."""
        name, state, life = self.spec.name, self._state, self._life
        if self.unavailable:
            return Check(name, False, state, self.unavailable)
        if state is State.FAILED:
            return Check(name, False, state, self._failure)
        if state is not State.RUNNING or life is None or life.session is None:
            return Check(name, True, state, f"It is {state}.")
        began = self._shared.clock()
        self._demand.occupied += 1
        try:
            with anyio.fail_after(within_s):
                told = "" if life.running is None else await life.running.health()
                if told == UNHEALTHY:
                    return Check(name, False, state, "Its own health check fails.")
                await life.session.request("ping", None)
        except TimeoutError:
            return Check(name, False, state, f"It did not answer a ping within {within_s:g} s.")
        except ServiceManagerError as error:
            return Check(name, False, state, str(error))
        except MCPError:
            # The protocol of 2026-07-28 has no ping: that it says so is an answer as good as any.
            pass
        finally:
            self._demand.occupied -= 1
            self._demand.notify()
        return Check(name, True, state, "It answers.", (self._shared.clock() - began) * 1000)

    async def resources(self) -> ResourceUse | None:
        """What it uses now, without waking it; None when it has no process."""
        running = self._life.running if self._life else None
        return None if running is None else await running.usage()

    def _start(self) -> Life:
        if self._closed:
            raise ServiceStartFailed(f"{self.spec.name} is not started: everything is shutting down.")
        self._refuse_while_failed()
        waking = self._state is State.SLEEPING
        self._life = life = Life(self._around, waking=waking, era=self._era)
        self._gone = anyio.Event()
        self._told_to_stop = self._demand.stop = self._demand.wake = False
        self._move(State.WAKING if waking else State.STARTING)
        self._shared.tasks.start_soon(self._run, life)
        return life

    async def _run(self, life: Life) -> None:
        try:
            await life.live()
        finally:
            self._finish(life)

    def _finish(self, life: Life) -> None:
        now = self._shared.clock()
        self._life = None
        self._era = life.era
        ended = (
            State.SLEEPING if life.rests and not self._told_to_stop and not self._closed else State.STOPPED
        )
        broken = life.crash or (str(life.error) if life.session is None and life.error else "")
        if broken:
            self._failure = broken
            self._crashes += life.session is not None
            if life.session is None:
                self._failures = self._failures.not_started(now)
            else:
                self._failures = self._failures.died(self._started_at, now)
            ended = State.FAILED if self._failures.given_up else State.STOPPED
            self._log.warning("service_failed", failures=self._failures.count, error=broken)
        elif life.session is not None:
            self._failures = self._failures.ended(self._started_at, now)
        self._move(ended)
        self._demand.slept()
        life.settled.set()
        life.awake.set()
        self._gone.set()
        if life.crash and not self._told_to_stop and self._needed():
            self._shared.tasks.start_soon(self._revive)

    def _sleeps(self) -> bool:
        return self._state is State.SLEEPING

    async def _gone_if_stopping(self) -> None:
        while self._state is State.STOPPING:
            await self._gone.wait()

    def _needed(self) -> bool:
        """Whether it is to run although nobody calls it."""
        return self.spec.priority is Priority.CRITICAL or self._session_state.subscribed

    async def _revive(self) -> None:
        """Start it again after a crash, as soon as it may be."""
        while self._life is None and not self._closed and not self._told_to_stop:
            again_at = self._failures.retry_at
            if again_at > self._shared.clock():
                await self._demand.change(again_at)
                continue
            try:
                await self.ready()
            except ServiceManagerError as error:
                self._log.warning("service_not_revived", error=str(error))

    def _due(self) -> float | None:
        """When it is to sleep, by the clock; None for not as things are."""
        usage = self.usage()
        if self._demand.occupied or self._life is None or (running := self._life.running) is None:
            return None
        if self._demand.sleep_asked and not usage.held:
            return self._shared.clock()
        if self._sleeping.choose(running).tier is Tier.WARM:
            return None
        due = sleep_at(self.spec, usage, self._shared.level(), self._shared.rules())
        return None if due is None else max(due, self._life.restless_until)

    def _move(self, state: State) -> None:
        before, self._state = self._state, state
        if before is state:
            return
        now = self._shared.clock()
        if state is State.RUNNING:
            self._running(now)
        self._shared.observe(Transition(self.spec.name, before, state, now))

    def _running(self, now: float) -> None:
        self._awake_since = now
        life = self._life
        assert life is not None
        if not life.settled.is_set() and life.start_ms is not None:
            self._starts += 1
            self._started_at = now
            self._start_ms = life.start_ms
            self._failure = ""
            self._log.info("service_started", ms=round(life.start_ms))

    def _refuse_while_failed(self) -> None:
        wait_s = self._failures.retry_at - self._shared.clock()
        if self._failures.given_up and wait_s > 0:
            raise ServiceStartFailed(
                f"{self.spec.name} failed {self._failures.count} times in a row. {self._failure}",
                f"It is tried again in {wait_s:.0f} s.",
            )

    async def _ask(self, method: str, params: Mapping[str, str]) -> None:
        self.hold()
        try:
            await (await self.ready()).request(method, params)
        finally:
            self.release()

    def _learnt(self, known: Known) -> None:
        before, self.known = self.known, known
        if known != before:
            self._shared.learnt(self.spec, known)
            if before.about:
                self.audience.tell(known.changed_since(before))
