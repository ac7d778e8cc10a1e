"""One service: started on first need, shared by its leases, stopped when idle. Single writer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import anyio
import anyio.abc
import httpx2
import structlog
from mcp import Client, MCPError
from mcp.client._transport import Transport
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation
from pydantic import ValidationError

from service_manager.drivers.protocol import Driver, Running
from service_manager.errors import ServiceManagerError, ServiceStartFailed
from service_manager.model import CommandResolver, Progress, ServiceSpec, ServiceStatus, State, UrlSource
from service_manager.policy import QUICK_FAILURES, Usage, retry_at, stop_at
from service_manager.session import ServiceSession

_HANDSHAKE_ERRORS = (MCPError, OSError, ValidationError, ValueError, RuntimeError, ExceptionGroup)
"""What the SDK raises when a session can't be opened or its task groups end."""


class Attempt:
    """One start that any number of callers wait for; it goes on when some of them give up."""

    def __init__(self) -> None:
        self.settled = anyio.Event()
        self.session: ServiceSession | None = None
        self.error: ServiceManagerError | None = None
        self.listeners: list[Progress] = []

    async def relay(self, progress: float, total: float | None, message: str) -> None:
        """Tell every waiting caller how far the start is."""
        for listener in tuple(self.listeners):
            await listener(progress, total, message)


class Runner:
    """The lifecycle of one service.

    Args:
        spec: the service.
        resolver: gives its command, installing it first where needed.
        driver: runs the command.
        tasks: where it lives; cancelling it stops the service.
        clock: monotonic seconds.
        unavailable: why it can't run here; empty when it can.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        resolver: CommandResolver,
        driver: Driver,
        tasks: anyio.abc.TaskGroup,
        clock: Callable[[], float],
        unavailable: str,
    ) -> None:
        self.spec = spec
        self.unavailable = unavailable
        self._resolver = resolver
        self._driver = driver
        self._tasks = tasks
        self._clock = clock
        self._log = structlog.get_logger().bind(service=spec.name)
        self._state = State.STOPPED
        self._attempt: Attempt | None = None
        self._gone = anyio.Event()
        self._gone.set()
        self._changed = anyio.Event()
        self._stop_wanted = False
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
            attempt = self._attempt = Attempt()
            self._gone = anyio.Event()
            self._stop_wanted = False
            self._state = State.STARTING
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
            self._notify()
            await self._gone.wait()
        self._failures, self._failure = 0, ""
        if self._state is State.FAILED:
            self._state = State.STOPPED

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
            if isinstance(self.spec.source, UrlSource):
                http = httpx2.AsyncClient(
                    headers=dict(self.spec.source.headers), timeout=self.spec.start_timeout_s
                )
                async with http:
                    await self._serve(
                        attempt, streamable_http_client(self.spec.source.url, http_client=http), None
                    )
            else:
                command = await self._resolver.resolve(self.spec, attempt.relay)
                await attempt.relay(0.0, None, f"starting {self.spec.name}")
                async with self._driver.run(self.spec, command) as running:
                    self._pid = running.pid
                    await self._serve(attempt, running.transport, running)
                    if attempt.session is None and attempt.error is None:
                        attempt.error = self._did_not_start("it stopped answering", running)
                    elif attempt.session is None:
                        # The exit code and the last words are known once it has ended.
                        attempt.error = self._did_not_start(str(attempt.error), running)
        except ServiceManagerError as error:
            attempt.error = error
        finally:
            self._finish(attempt)

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
                        self.spec.name, client, lambda: _epitaph(running), _ended(running)
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
                attempt.error = ServiceStartFailed(_cause(error))

    async def _until_unwanted(self, running: Running | None) -> None:
        async with anyio.create_task_group() as tasks:
            if running is not None:

                async def notice_death() -> None:
                    await running.wait()
                    # At once: a caller that hears of the death may ask again before the session is closed.
                    self._state = State.STOPPING
                    self._failure = f"it died: {_epitaph(running)}"
                    self._log.warning("service_died", ending=_epitaph(running))
                    tasks.cancel_scope.cancel()

                tasks.start_soon(notice_death)
            while not self._stop_wanted:
                deadline = stop_at(self.spec, self._usage())
                if deadline is not None and deadline <= self._clock():
                    self._log.info("service_idle_stopped", idle_timeout_s=self.spec.idle_timeout_s)
                    break
                changed = self._changed
                wait_s = float("inf") if deadline is None else deadline - self._clock()
                with anyio.move_on_after(wait_s):
                    await changed.wait()
            tasks.cancel_scope.cancel()
        # From here on new callers wait for the end and then start it again.
        self._state = State.STOPPING

    def _usage(self) -> Usage:
        now = self._clock()
        started = now if self._started_at is None else self._started_at
        return Usage(self._leases, started, max(started, self._idle_since or started))

    def _running(self, began: float) -> None:
        self._state = State.RUNNING
        self._started_at = self._clock()
        self._start_ms = (self._started_at - began) * 1000
        self._starts += 1
        self._failures, self._failure = 0, ""
        self._log.info("service_started", pid=self._pid, ms=round(self._start_ms))

    def _finish(self, attempt: Attempt) -> None:
        self._pid = None
        self._started_at = None
        self._attempt = None
        self._state = State.STOPPED
        if attempt.session is None and attempt.error is not None:
            self._failures += 1
            self._failed_at = self._clock()
            self._failure = str(attempt.error)
            if self._failures >= QUICK_FAILURES:
                self._state = State.FAILED
            self._log.warning("service_start_failed", failures=self._failures, error=self._failure)
        attempt.settled.set()
        self._gone.set()

    def _refuse_while_failed(self) -> None:
        wait_s = retry_at(self._failures, self._failed_at) - self._clock()
        if self._failures >= QUICK_FAILURES and wait_s > 0:
            raise ServiceStartFailed(
                f"{self.spec.name} failed to start {self._failures} times in a row. {self._failure}",
                f"It is tried again in {wait_s:.0f} s.",
            )

    def _did_not_start(self, why: str, running: Running) -> ServiceStartFailed:
        words = running.last_words()
        ending = f", {running.ending()}" if running.ending() else ""
        said = f" Its last lines: {' | '.join(words[-5:])}" if words else " It printed nothing on stderr."
        return ServiceStartFailed(
            f"{self.spec.name} did not start: {why.strip()}{ending}.{said}",
            "Run it in a terminal to see what it lacks.",
            words,
        )

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


def _epitaph(running: Running | None) -> str:
    """How a service ended, with its last words; empty while it runs."""
    if running is None or not running.ending():
        return ""
    words = running.last_words()
    return f"{running.ending()}: {words[-1]}" if words else running.ending()


def _ended(running: Running | None) -> Callable[[], Awaitable[None]]:
    return anyio.sleep_forever if running is None else running.wait


def _cause(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _cause(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    return f"{error}" or type(error).__name__
