"""All services of a services.yml: leases, starts, sleep, stops, status."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from difflib import get_close_matches

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream

from service_manager.drivers.assembly import open_drivers
from service_manager.drivers.protocol import Driver
from service_manager.errors import ServiceUnavailable, UnknownService
from service_manager.journal import Journal
from service_manager.lifecycle.changes import Changes, changes_between
from service_manager.lifecycle.gate import Gate
from service_manager.lifecycle.governor import Governor
from service_manager.lifecycle.keepsakes import Forgetful, Keepsakes
from service_manager.lifecycle.known import Known, Notification
from service_manager.lifecycle.readings import Meter
from service_manager.lifecycle.runner import Runner
from service_manager.lifecycle.session import ServiceSession
from service_manager.lifecycle.sleeping import Sleeping
from service_manager.lifecycle.surroundings import Surroundings
from service_manager.linux.capabilities import Capabilities, probe
from service_manager.model import CommandResolver, Progress, ServiceSpec, State, Transition
from service_manager.policy.habits import habits_from_json
from service_manager.policy.rules import Level, ResourceRules
from service_manager.resources import Limits, ResourceUse
from service_manager.status import Check, ServiceStatus

RETIRE_S = 30.0
"""How long the requests of a service that was changed or removed may take to end."""


CHECK_S = 4.0
"""How long a service that is awake may take to answer that it is well."""


class ServiceManager:
    """Runs services while `open` is held.

    Args:
        specs: the services; disabled ones are unknown.
        resolver: gives their commands.
        environ: what services inherit from (see `drivers.process.INHERITED`).
        unavailable: why a service can't run here, empty when it can; asked once for each.
        driver: runs commands; None for those of `drivers.assembly`.
        clock: monotonic seconds.
        observe: told of every change of a service's state, at once; it must not wait.
        rules: what services may use, and when they make room.
        machine: what this machine lets services sleep with; None to look.
        keepsakes: what is kept from one manager to the next.
        governed: whether the machine is watched; False for a manager whose time is not the machine's.
    """

    def __init__(
        self,
        specs: Sequence[ServiceSpec],
        resolver: CommandResolver,
        environ: Mapping[str, str],
        *,
        unavailable: Callable[[ServiceSpec], str] = lambda spec: "",
        driver: Driver | None = None,
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[Transition], None] = lambda change: None,
        rules: ResourceRules | None = None,
        machine: Capabilities | None = None,
        keepsakes: Keepsakes | None = None,
        governed: bool = True,
    ) -> None:
        self._specs = tuple(spec for spec in specs if spec.enabled)
        self._resolver = resolver
        self._environ = environ
        self._unavailable = unavailable
        self._driver = driver
        self._clock = clock
        self._observe = observe
        self._rules = rules or ResourceRules()
        self._machine = machine or probe()
        self._keepsakes = keepsakes or Forgetful()
        self._governed = governed
        self._habits = habits_from_json(self._keepsakes.habits())
        self._runners: dict[str, Runner] = {}
        self._successions: dict[str, anyio.Event] = {}
        self._gate = Gate(lambda: self._runners.values(), self._current_rules, clock)
        self._governor = Governor(
            lambda: tuple(self._runners.values()), self._gate, self._current_rules, self._habits, clock
        )
        self._shared: Surroundings | None = None
        self._limit_all: Callable[[Limits], None] | None = None
        resolver.know(self._specs)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Run services on demand; all of them have ended when the block is left."""
        async with AsyncExitStack() as stack:
            driver = self._driver
            if driver is None:
                system = _system_limits(self._rules)
                self._gate.memory = system.memory
                drivers = open_drivers(self._environ, system, self._machine)
                opened = await stack.enter_async_context(drivers)
                driver, self._limit_all = opened.driver, opened.limit_all
            tasks = await stack.enter_async_context(anyio.create_task_group())
            self._shared = Surroundings(
                self._resolver,
                driver,
                tasks,
                self._clock,
                self._changed,
                self._learnt,
                self._current_rules,
                self._level,
            )
            self._runners = {spec.name: self._runner_of(spec, self._shared) for spec in self._specs}
            if self._governed:
                tasks.start_soon(self._governor.run)
            try:
                yield
            finally:
                for runner in self._runners.values():
                    runner.close()
                tasks.cancel_scope.cancel()
        self._runners = {}

    # What requests need.

    @asynccontextmanager
    async def lease(self, name: str, progress: Progress | None = None) -> AsyncGenerator[ServiceSession]:
        """Hold a running service for the time of the block; it is started or woken first where needed.

        Raises:
            UnknownService: there is none of that name.
            ServiceUnavailable: it can't run here.
            LimitReached: there is no room for it.
            ServiceManagerError: it could not be installed or started.
        """
        await self._succession(name)
        runner = self._usable(name)
        runner.hold()
        try:
            if runner.state is not State.RUNNING:
                await self._gate.admit(runner.spec)
            session = await runner.ready(progress)
            if self._habits.used(name, datetime.now().astimezone()) and self._shared is not None:
                self._shared.tasks.start_soon(self._keepsakes.keep_habits, self._habits.to_json())
            yield session
        finally:
            runner.release()
            self._gate.notify()

    async def ready(self, name: str, progress: Progress | None = None) -> None:
        """Start or wake a service where needed, and return when it runs. Raises as `lease` does."""
        async with self.lease(name, progress):
            pass

    def expect(self, names: Sequence[str]) -> None:
        """Wake services that sleep, because calls of them are likely; returns at once.

        Only as many as there is room for; names of no service are passed over.
        """
        room = self._gate.spare(self._level())
        asleep = (name for name in names if name in self._runners)
        for name in [name for name in asleep if self._runners[name].state is State.SLEEPING][:room]:
            self._runners[name].expect()

    def known(self, name: str) -> Known:
        """What is known of a service without asking it.

        Raises:
            UnknownService: there is none of that name.
        """
        return self._runner(name).known

    @contextmanager
    def listen(self, name: str) -> Generator[MemoryObjectReceiveStream[Notification]]:
        """What a service says without being asked, until the block is left.

        Raises:
            UnknownService: there is none of that name.
        """
        with self._runner(name).audience.listen() as stream:
            yield stream

    async def set_level(self, name: str, level: str) -> None:
        """Have a service log at least from this level on. Raises as `lease` does."""
        await self._usable(name).settings.set_level(level)

    async def subscribe(self, name: str, uri: str) -> None:
        """Have a service tell when a resource changes; it does not sleep meanwhile.

        Raises as `lease` does.
        """
        runner = self._usable(name)
        await self._gate.admit(runner.spec)
        await runner.settings.subscribe(uri)

    async def unsubscribe(self, name: str, uri: str) -> None:
        """Have it tell no longer. Raises as `lease` does."""
        await self._usable(name).settings.unsubscribe(uri)

    # What people and their programs tell it.

    async def start(self, name: str, progress: Progress | None = None) -> None:
        """Start or wake a service. Raises as `lease` does."""
        await self.ready(name, progress)

    async def wake(self, name: str) -> None:
        """Wake a service, or start it. Raises as `lease` does."""
        await self.ready(name)

    async def stop(self, name: str) -> None:
        """Stop a service now.

        Raises:
            UnknownService: there is none of that name.
        """
        await self._runner(name).stop()

    async def sleep(self, name: str) -> None:
        """Put a service to sleep now, however long it has been idle.

        Raises:
            UnknownService: there is none of that name.
            SleepFailed: it is used, does not run, or can't sleep.
        """
        await self._runner(name).sleep()

    async def apply(self, specs: Sequence[ServiceSpec], rules: ResourceRules | None = None) -> Changes:
        """Take over changed specifications: only what changed is restarted, once its requests have ended.

        Args:
            specs: all services.
            rules: what they may use; None for what they might so far. A service is restarted when its own
                limits or its wake target are others; all else holds at once.
        """
        rules = rules or self._rules
        wanted = {spec.name: spec for spec in specs if spec.enabled}
        known = {name: runner.spec for name, runner in self._runners.items()}
        changes = changes_between(known, wanted, self._rules, rules)
        shared = self._shared
        assert shared is not None
        if changes.limits:
            await self._take_over(rules)
        self._resolver.know(tuple(wanted.values()))
        async with anyio.create_task_group() as tasks:
            for name in (*changes.changed, *changes.removed):
                tasks.start_soon(self._replace, name, wanted.get(name), shared)
            for name in changes.added:
                self._runners[name] = self._runner_of(wanted[name], shared)
        self._runners = {name: self._runners[name] for name in wanted}
        self._specs = tuple(wanted.values())
        self._gate.notify()
        return changes

    async def _take_over(self, rules: ResourceRules) -> None:
        self._rules = rules
        if self._limit_all is not None:
            system = _system_limits(rules)
            self._gate.memory = system.memory
            await to_thread.run_sync(self._limit_all, system)
        for runner in self._runners.values():
            runner.reconsider()

    async def _replace(self, name: str, spec: ServiceSpec | None, shared: Surroundings) -> None:
        """Let the requests of a service end, and put another one in its place; None for nothing."""
        done = self._successions[name] = anyio.Event()
        try:
            await self._runners[name].retire(RETIRE_S)
            if spec is None:
                del self._runners[name]
            else:
                self._runners[name] = self._runner_of(spec, shared)
        finally:
            del self._successions[name]
            done.set()

    async def _succession(self, name: str) -> None:
        """Return when a service that is being replaced has its successor: its old requests have to end."""
        while (done := self._successions.get(name)) is not None:
            await done.wait()

    # What is to be seen.

    def status(self) -> tuple[ServiceStatus, ...]:
        """Every service as it is now."""
        return tuple(runner.status() for runner in self._runners.values())

    def one(self, name: str) -> ServiceStatus:
        """One service as it is now.

        Raises:
            UnknownService: there is none of that name.
        """
        return self._runner(name).status()

    async def check(self, within_s: float = CHECK_S) -> tuple[Check, ...]:
        """Whether every service is well, all asked at once; none is started or woken for it.

        Args:
            within_s: how long a service may take to answer; all together take hardly longer.
        """
        found: dict[str, Check] = {}

        async def check(runner: Runner) -> None:
            found[runner.spec.name] = await runner.check(within_s)

        runners = tuple(self._runners.values())
        async with anyio.create_task_group() as tasks:
            for runner in runners:
                tasks.start_soon(check, runner)
        return tuple(found[runner.spec.name] for runner in runners)

    def spec(self, name: str) -> ServiceSpec:
        """What a service is.

        Raises:
            UnknownService: there is none of that name.
        """
        return self._runner(name).spec

    def journal(self, name: str) -> Journal:
        """What a service wrote to stderr.

        Raises:
            UnknownService: there is none of that name.
        """
        return self._runner(name).journal

    async def usage(self) -> Mapping[str, ResourceUse]:
        """What those services use that have processes; none is woken for it."""
        uses = {name: await runner.resources() for name, runner in tuple(self._runners.items())}
        return {name: use for name, use in uses.items() if use is not None}

    def _runner_of(self, spec: ServiceSpec, shared: Surroundings) -> Runner:
        sleeping = Sleeping(spec, self._rules.wake_target_s(spec), self._machine.swap, self._clock)
        known = self._keepsakes.known(spec)
        return Runner(spec, self._rules.limits(spec), sleeping, known, self._unavailable(spec), shared)

    def _learnt(self, spec: ServiceSpec, known: Known) -> None:
        if self._shared is not None:
            self._shared.tasks.start_soon(self._keepsakes.keep_known, spec, known)

    def _changed(self, change: Transition) -> None:
        self._observe(change)
        self._gate.notify()

    def _level(self) -> Level:
        return self._governor.level

    def _current_rules(self) -> ResourceRules:
        return self._rules

    def _usable(self, name: str) -> Runner:
        runner = self._runner(name)
        if runner.unavailable:
            raise ServiceUnavailable(f"{name} can't run here. {runner.unavailable}")
        return runner

    def _runner(self, name: str) -> Runner:
        runner = self._runners.get(name)
        if runner is None:
            raise UnknownService(name, get_close_matches(name, self._runners))
        return runner


def _system_limits(rules: ResourceRules) -> Limits:
    """What all services together may use on this machine."""
    capacity = Meter().capacity()
    return rules.system.limits(capacity.memory, capacity.processors)
