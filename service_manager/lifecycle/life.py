"""One life of a service: from its start to its end, with the sleeps in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import anyio
import structlog
from mcp import Client, MCPError
from mcp.client.client import ConnectMode
from mcp.types import Implementation
from pydantic import BaseModel, ValidationError

from service_manager.drivers.endings import End, cause, did_not_start
from service_manager.drivers.protocol import Driver, Running
from service_manager.errors import ServiceCrashed, ServiceManagerError, ServiceStartFailed, SleepFailed
from service_manager.journal import Journal
from service_manager.lifecycle.demand import Demand
from service_manager.lifecycle.known import Known, Notification
from service_manager.lifecycle.replay import SessionState
from service_manager.lifecycle.session import EXIT_S, ServiceSession
from service_manager.lifecycle.sleeping import Sleeping
from service_manager.model import Command, CommandResolver, Progress, ServiceSpec, State, Tier, UrlSource
from service_manager.resources import Limits

_HANDSHAKE_ERRORS = (MCPError, OSError, ValidationError, ValueError, RuntimeError, ExceptionGroup)
"""What the SDK raises when a session can't be opened or its task groups end."""

RELISTED = frozenset(f"notifications/{what}/list_changed" for what in ("tools", "prompts", "resources"))
"""After these, what it offers is asked again, and listeners are told once that is known."""

RESTLESS_S = 60.0
"""A service that could not be put to sleep is left alone for so long."""

LEARN_WITHIN_S = 5.0
"""What a service offers is asked when nobody uses it, but not later than this after its start."""

CLIENT = Implementation(name="tool-router", version="0.1")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What stays the same over all lives of a service.

    Attributes:
        spec: the service.
        resolver: gives its command, installing it first where needed.
        driver: runs the command.
        limits: what it may use.
        journal: takes what it writes to stderr.
        demand: who wants it.
        sleeping: how it sleeps.
        state: what its clients set in the session.
        due: when it is to sleep, by the clock; None for not as things are.
        move: told of every change of its state, at once.
        heard: told of its notifications, at once; not of changed listings.
        learnt: told of what it offers, once that is known, and again when it changes.
        clock: monotonic seconds.
    """

    spec: ServiceSpec
    resolver: CommandResolver
    driver: Driver
    limits: Limits
    journal: Journal
    demand: Demand
    sleeping: Sleeping
    state: SessionState
    due: Callable[[], float | None]
    move: Callable[[State], None]
    heard: Callable[[Iterable[Notification]], None]
    learnt: Callable[[Known], None]
    clock: Callable[[], float]


class Life:
    """One life that any number of callers wait for; it goes on when some of them give up.

    Args:
        around: what it lives in.
        waking: it was asleep by having been stopped, and somebody waits for it to wake.
        era: how its protocol version is negotiated.

    Attributes:
        scope: cancelling it ends what was started.
        settled: set once there is a session, or none to be had.
        awake: set while it can be asked.
        session: what the callers wait for.
        running: what the driver runs; None before that and afterwards.
        error: why there is no session; None as well when it was stopped before it ran.
        crash: how it broke down; empty when it did not.
        rests: it ended in order to sleep.
        start_ms: how long its start took, until its session was open.
        restless_until: not to be put to sleep before this time: it was tried, and it did not.
        listeners: who is told how far the start is.
    """

    def __init__(self, around: Circumstances, *, waking: bool, era: ConnectMode) -> None:
        self._around = around
        self._waking = waking
        self._log = structlog.get_logger().bind(service=around.spec.name)
        self.era: ConnectMode = era
        self.scope = anyio.CancelScope()
        self.settled = anyio.Event()
        self.awake = anyio.Event()
        self.session: ServiceSession | None = None
        self.running: Running | None = None
        self.error: ServiceManagerError | None = None
        self.crash = ""
        self.rests = False
        self.start_ms: float | None = None
        self.restless_until = float("-inf")
        self._relist = anyio.Event()
        self.listeners: list[Progress] = []

    async def live(self) -> None:
        """Start the service, keep it while it is wanted, and end it. Its own task, whoever waits."""
        try:
            with self.scope:
                await self._live()
        except ServiceManagerError as error:
            self.error = error
        finally:
            self.running = None

    def hung_up(self) -> None:
        """Note that its session is of no use any more; that of one told to stop is no crash."""
        demand = self._around.demand
        if not demand.stop and not self.crash and self.awake.is_set() and self.running is not None:
            self._break("it closed its connection")
            demand.stop = True
            demand.notify()

    async def relay(self, progress: float, total: float | None, message: str) -> None:
        """Tell every waiting caller how far the start is."""
        for listener in tuple(self.listeners):
            await listener(progress, total, message)

    async def _live(self) -> None:
        spec = self._around.spec
        command = Command(())
        if not isinstance(spec.source, UrlSource):
            command = await self._around.resolver.resolve(spec, self.relay)
        await self.relay(0.0, None, f"starting {spec.name}")
        began = self._around.clock()
        driver, limits, journal = self._around.driver, self._around.limits, self._around.journal
        async with driver.run(spec, command, limits, journal) as running:
            self.running = running
            spawned = self._around.clock()
            await self._serve(running, began, spawned)
            if self.session is None:
                # The exit code and the last words are known once it has ended.
                why = "it stopped answering" if self.error is None else str(self.error)
                self.error = did_not_start(spec.name, why, running)

    async def _serve(self, running: Running, began: float, spawned: float) -> None:
        """Open a session and hold it until the service is idle, told to stop, or dead."""
        spec = self._around.spec
        try:
            with anyio.CancelScope() as scope:
                scope.deadline = anyio.current_time() + spec.start_timeout_s
                async with Client(
                    running.transport,
                    client_info=CLIENT,
                    cache=None,
                    mode=self.era,
                    message_handler=self._hear,
                ) as client:
                    session = ServiceSession(
                        spec.name,
                        client.session,
                        End(running),
                        self.hung_up,
                        self._around.sleeping.answered,
                        self._around.clock,
                    )
                    await self._bring_back(session)
                    scope.deadline = float("inf")
                    self.era = "auto" if client.session.discover_result else "legacy"
                    self._opened(session, began, spawned)
                    await self._stay(running, session)
            if self.session is None:
                self.error = ServiceStartFailed(f"no answer to initialize within {spec.start_timeout_s:g} s")
        except _HANDSHAKE_ERRORS as error:
            if self.session is None:
                self.era = "auto"
                self.error = ServiceStartFailed(cause(error))
                if running.pid is not None:
                    # Its streams close a moment before its exit code and its last words are known.
                    with anyio.move_on_after(EXIT_S):
                        await running.wait()

    async def _bring_back(self, session: ServiceSession) -> None:
        """Set in a new session what clients had set in the one before."""
        for method, params in self._around.state.requests():
            try:
                await session.request(method, params)
            except (MCPError, ServiceCrashed) as error:
                self._log.warning("session_state_not_restored", method=method, error=str(error))

    def _opened(self, session: ServiceSession, began: float, spawned: float) -> None:
        now = self._around.clock()
        self.start_ms = (now - began) * 1000
        self._around.sleeping.started(spawned - began, now - spawned, waking=self._waking)
        self.session = session
        self._around.move(State.RUNNING)
        self.awake.set()
        self.settled.set()

    async def _stay(self, running: Running, session: ServiceSession) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._notice_death, running, tasks.cancel_scope)
                tasks.start_soon(self._learn, session)
                while await self._until_unwanted(running) == "sleep":
                    await self._sleep(running, session)
                tasks.cancel_scope.cancel()
        finally:
            self._stopping()

    async def _until_unwanted(self, running: Running) -> Literal["sleep", "stop"]:
        """Return when it is idle for long enough, or told to sleep or stop.

        Then it is asleep or stopping already: nothing may come between finding it idle and turning callers
        away.
        """
        demand = self._around.demand
        while not demand.stop:
            due = self._around.due()
            if due is not None and due <= self._around.clock():
                self.awake = anyio.Event()
                self._around.move(State.SLEEPING)
                return "sleep"
            await demand.change(due)
        # New callers wait for the end from here on, and then start it again.
        self._stopping()
        return "stop"

    async def _sleep(self, running: Running, session: ServiceSession) -> None:
        """Sleep until somebody wants it; awake again, or about to stop, when this returns."""
        demand, sleeping = self._around.demand, self._around.sleeping
        demand.wake = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._fall_asleep, running, session)
            while not demand.awake:
                await demand.change()
            tasks.cancel_scope.cancel()
        demand.wake = False
        if demand.stop:
            # Whoever ends it lets it continue.
            return
        self._around.move(State.WAKING)
        try:
            await sleeping.rouse(running)
        except SleepFailed as error:
            self._break(str(error))
            demand.stop = True
            return
        self._around.move(State.RUNNING)
        self.awake.set()
        # Who asked it to sleep in vain is told once it is awake again.
        demand.slept()

    async def _fall_asleep(self, running: Running, session: ServiceSession) -> None:
        try:
            demand = self._around.demand
            told, hurried = demand.sleep_asked, demand.sleep_asked and demand.hurried
            tier = await self._around.sleeping.fall_asleep(running, session, told=told, hurried=hurried)
        except SleepFailed as error:
            self._log.warning("service_sleep_failed", error=str(error))
            tier = Tier.WARM
        demand = self._around.demand
        if tier is Tier.RESPAWN:
            self.rests = demand.stop = True
            demand.notify()
        elif tier is not Tier.WARM:
            demand.slept()
        else:
            self.restless_until = self._around.clock() + RESTLESS_S
            demand.wake = True
            demand.notify()

    async def _notice_death(self, running: Running, life: anyio.CancelScope) -> None:
        await running.wait()
        # At once: a caller that hears of the death may ask again before the session is closed.
        self._break(f"it died: {End(running).epitaph()}")
        life.cancel()

    async def _learn(self, session: ServiceSession) -> None:
        """Ask what it offers now, and again whenever it says that this has changed."""
        demand = self._around.demand
        while True:
            # Whoever had it started comes first.
            with anyio.move_on_after(LEARN_WITHIN_S):
                while demand.leases:
                    await demand.change()
            # It may have fallen asleep again before this task has its turn.
            while not self.awake.is_set():
                await self.awake.wait()
            demand.occupied += 1
            try:
                self._around.learnt(await session.learn())
            except (ServiceManagerError, MCPError) as error:
                self._log.debug("service_not_learnt", error=str(error))
            finally:
                demand.occupied -= 1
                demand.notify()
            await self._relist.wait()
            self._relist = anyio.Event()

    async def _hear(self, message: Any) -> None:
        if not isinstance(message, BaseModel):
            return
        said = message.model_dump(by_alias=True, mode="json", exclude_none=True)
        method = said.get("method")
        if method in RELISTED:
            self._relist.set()
        elif isinstance(method, str):
            self._around.heard((Notification(method, said.get("params")),))

    def _break(self, how: str) -> None:
        if not self.crash:
            self.crash = how
            self._log.warning("service_broke_down", how=how)
        self._stopping()

    def _stopping(self) -> None:
        if self.session is not None:
            self._around.move(State.STOPPING)
