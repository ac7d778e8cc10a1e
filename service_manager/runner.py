"""One service: started on first need, shared by its leases, stopped when idle. Single writer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio
import anyio.abc
import httpx2
import structlog
from mcp import Client, MCPError
from mcp.client._transport import Transport
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation
from pydantic import ValidationError

from service_manager.attempt import Attempt
from service_manager.drivers.protocol import Driver, Running
from service_manager.endings import cause, did_not_start, end_of, epitaph
from service_manager.errors import ServiceManagerError, ServiceStartFailed
from service_manager.journal import Journal
from service_manager.model import (
    CommandResolver,
    Progress,
    ServiceSpec,
    State,
    Transition,
    UrlSource,
)
from service_manager.policy import QUICK_FAILURES, Usage, retry_at, stop_at
from service_manager.resources import Limits
from service_manager.session import ServiceSession
from service_manager.status import ServiceStatus

_HANDSHAKE_ERRORS = (MCPError, OSError, ValidationError, ValueError, RuntimeError, ExceptionGroup)
"""What the SDK raises when a session can't be opened or its task groups end."""


class Runner:
    """The lifecycle of one service.

    Args:
        spec: the service.
        resolver: gives its command, installing it first where needed.
        driver: runs the command.
        tasks: where it lives; cancelling it stops the service.
        clock: monotonic seconds.
        unavailable: why it can't run here; empty when it can.
        observe: told of every change of state, at once; it must not wait.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        resolver: CommandResolver,
        driver: Driver,
        tasks: anyio.abc.TaskGroup,
        clock: Callable[[], float],
        unavailable: str,
        observe: Callable[[Transition], None],
    ) -> None:
        self.spec = spec
        self.unavailable = unavailable
        self._resolver = resolver
        self._driver = driver
        self._tasks = tasks
        self._clock = clock
        self._observe = observe
        self.journal = Journal()
        self._log = structlog.get_logger().bind(service=spec.name)
        self._state = State.STOPPED
        self._attempt: Attempt | None = None
        self._gone = anyio.Event()
        self._gone.set()
        self._changed = anyio.Event()
        self._stop_wanted = False
        self._closed = False
        self._leases = 0
        self._starts = 0
        self._failures = 0
        self._failed_at = 0.0
        self._failure = ""
        self._pid: int | None = None
        self._started_at: float | None = None
        self._idle_since: float | None = None
        self._start_ms: float | None = None

    def hold(self) -> None:
        """Take a lease: a held service is not stopped for being idle."""
        self._leases += 1
        self._notify()

    def release(self) -> None:
        """Give a lease back; idle time counts from the last one."""
        self._leases -= 1
        self._idle_since = self._clock()
        self._notify()

    async def ready(self, progress: Progress | None = None) -> ServiceSession:
        """A session with the running service; starts it, or joins the start under way.

        Raises:
            ServiceManagerError: it did not start.
        """
        while self._state is State.STOPPING:
            await self._gone.wait()
        attempt = self._attempt
        if attempt is None:
            self._refuse_while_failed()
            if self._closed:
                raise ServiceStartFailed(f"{self.spec.name} is not started: everything is shutting down.")
            attempt = self._attempt = Attempt()
            self._gone = anyio.Event()
            self._stop_wanted = False
            self._move(State.STARTING)
            self._tasks.start_soon(self._live, attempt)
        if progress is not None:
            attempt.listeners.append(progress)
        try:
            await attempt.settled.wait()
        finally:
            if progress is not None:
                attempt.listeners.remove(progress)
        if attempt.session is None:
            raise attempt.error or ServiceStartFailed(f"{self.spec.name} was stopped while it started.")
        return attempt.session

    async def stop(self) -> None:
        """Stop the service now, leased or not, and return when it has ended."""
        if self._attempt is not None:
            self._stop_wanted = True
            if self._state is State.STARTING:
                # An installation may take minutes.
                self._move(State.STOPPING)
                self._attempt.life.cancel()
            self._notify()
            await self._gone.wait()
        self._failures, self._failure = 0, ""
        if self._state is State.FAILED:
            self._move(State.STOPPED)

    def close(self) -> None:
        """Start it no more; its task group is about to end."""
        self._closed = True

    def status(self) -> ServiceStatus:
        """What `status` shows."""
        idle = None if self._leases or self._idle_since is None else self._clock() - self._idle_since
        return ServiceStatus(
            name=self.spec.name,
            state=self._state,
            priority=self.spec.priority,
            unavailable_reason=self.unavailable,
            failure=self._failure,
            pid=self._pid,
            leases=self._leases,
            starts=self._starts,
            idle_s=idle,
            last_start_ms=self._start_ms,
        )

    async def _live(self, attempt: Attempt) -> None:
        """Start the service, keep it while it is wanted, and end it. Its own task, whoever waits."""
        try:
            with attempt.life:
                await self._run(attempt)
        except ServiceManagerError as error:
            attempt.error = error
        finally:
            self._finish(attempt)

    async def _run(self, attempt: Attempt) -> None:
        if isinstance(self.spec.source, UrlSource):
            url, headers = self.spec.source.url, dict(self.spec.source.headers)
            async with httpx2.AsyncClient(headers=headers, timeout=self.spec.start_timeout_s) as http:
                await self._serve(attempt, streamable_http_client(url, http_client=http), None)
            return
        command = await self._resolver.resolve(self.spec, attempt.relay)
        await attempt.relay(0.0, None, f"starting {self.spec.name}")
        async with self._driver.run(self.spec, command, Limits(), self.journal) as running:
            self._pid = running.pid
            await self._serve(attempt, running.transport, running)
            if attempt.session is None and attempt.error is None:
                attempt.error = did_not_start(self.spec.name, "it stopped answering", running)
            elif attempt.session is None:
                # The exit code and the last words are known once it has ended.
                attempt.error = did_not_start(self.spec.name, str(attempt.error), running)

    async def _serve(self, attempt: Attempt, transport: Transport, running: Running | None) -> None:
        """Open a session and hold it until the service is idle, told to stop, or dead."""
        began = self._clock()
        try:
            with anyio.CancelScope() as scope:
                scope.deadline = anyio.current_time() + self.spec.start_timeout_s
                async with Client(
                    transport, client_info=Implementation(name="tool-router", version="0.1"), cache=None
                ) as client:
                    scope.deadline = float("inf")
                    attempt.session = ServiceSession(
                        self.spec.name,
                        client.session,
                        lambda: epitaph(running),
                        end_of(running),
                        partial(self._hung_up, attempt),
                    )
                    self._running(began)
                    attempt.settled.set()
                    await self._until_unwanted(running)
            if attempt.session is None:
                attempt.error = ServiceStartFailed(
                    f"no answer to initialize within {self.spec.start_timeout_s:g} s"
                )
        except _HANDSHAKE_ERRORS as error:
            if attempt.session is None:
                attempt.error = ServiceStartFailed(cause(error))

    async def _until_unwanted(self, running: Running | None) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                if running is not None:
                    tasks.start_soon(self._notice_death, running, tasks.cancel_scope)
                await self._until_idle()
                tasks.cancel_scope.cancel()
        finally:
            self._stopping()

    async def _until_idle(self) -> None:
        """Return when it is idle for long enough, or told to stop.

        Then it is stopping already: nothing may come between finding it idle and turning new callers away.
        """
        while not self._stop_wanted:
            deadline = stop_at(self.spec, self._usage())
            if deadline is not None and deadline <= self._clock():
                self._log.info("service_idle_stopped", idle_timeout_s=self.spec.idle_timeout_s)
                break
            changed = self._changed
            wait_s = float("inf") if deadline is None else deadline - self._clock()
            with anyio.move_on_after(wait_s):
                await changed.wait()
        # New callers wait for the end from here on, and then start it again.
        self._stopping()

    async def _notice_death(self, running: Running, life: anyio.CancelScope) -> None:
        await running.wait()
        self._failure = f"it died: {epitaph(running)}"
        # At once: a caller that hears of the death may ask again before the session is closed.
        self._stopping()
        self._log.warning("service_died", ending=epitaph(running))
        life.cancel()

    def _hung_up(self, attempt: Attempt) -> None:
        if self._attempt is attempt and self._state is State.RUNNING:
            self._failure = "it closed its connection"
            self._stop_wanted = True
            self._stopping()
            self._log.warning("service_hung_up")
            self._notify()

    def _usage(self) -> Usage:
        now = self._clock()
        started = now if self._started_at is None else self._started_at
        return Usage(self._leases, started, max(started, self._idle_since or started))

    def _running(self, began: float) -> None:
        self._move(State.RUNNING)
        self._started_at = self._clock()
        self._start_ms = (self._started_at - began) * 1000
        self._starts += 1
        self._failures, self._failure = 0, ""
        self._log.info("service_started", pid=self._pid, ms=round(self._start_ms))

    def _finish(self, attempt: Attempt) -> None:
        self._pid = None
        self._started_at = None
        self._attempt = None
        ended = State.STOPPED
        if attempt.session is None and attempt.error is not None:
            self._failures += 1
            self._failed_at = self._clock()
            self._failure = str(attempt.error)
            if self._failures >= QUICK_FAILURES:
                ended = State.FAILED
            self._log.warning("service_start_failed", failures=self._failures, error=self._failure)
        self._move(ended)
        attempt.settled.set()
        self._gone.set()

    def _refuse_while_failed(self) -> None:
        wait_s = retry_at(self._failures, self._failed_at) - self._clock()
        if self._failures >= QUICK_FAILURES and wait_s > 0:
            raise ServiceStartFailed(
                f"{self.spec.name} failed to start {self._failures} times in a row. {self._failure}",
                f"It is tried again in {wait_s:.0f} s.",
            )

    def _stopping(self) -> None:
        if self._state is State.RUNNING:
            self._move(State.STOPPING)

    def _move(self, state: State) -> None:
        before, self._state = self._state, state
        if before is not state:
            self._observe(Transition(self.spec.name, before, state, self._clock()))

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
