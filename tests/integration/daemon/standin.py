"""A small honest manager: one real child process per service, started on demand, asleep by being stopped.

It stands in for `service_manager.manager.ServiceManager` where a test needs nothing of its policy.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import Client, ClientSession, MCPError
from mcp.client.stdio import StdioServerParameters
from pydantic import BaseModel

from service_manager.errors import ServiceCrashed, ServiceUnavailable, SleepFailed, UnknownService
from service_manager.journal import Journal
from service_manager.lifecycle.changes import Changes
from service_manager.lifecycle.known import LISTINGS, Known, Notification
from service_manager.lifecycle.replay import SessionState
from service_manager.lifecycle.session import RawRequest, RawResult
from service_manager.model import Priority, Progress, ServiceSpec, State
from service_manager.policy.rules import ResourceRules
from service_manager.resources import MemoryUse, ResourceUse
from service_manager.status import Check, ServiceStatus


class StandinSession:
    """Requests to the child."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def request(
        self, method: str, params: Mapping[str, Any] | None, listener: Progress | None = None
    ) -> dict[str, Any]:
        """Make any request and return its result as it came."""

        async def relay(progress: float, total: float | None, message: str | None) -> None:
            assert listener is not None
            await listener(progress, total, message or "")

        asked = RawRequest(method=method, params=None if params is None else dict(params))
        progress = None if listener is None else relay
        try:
            return (await self._session.send_request(asked, RawResult, progress_callback=progress)).root
        except MCPError as error:
            if error.code == -32000:
                raise ServiceCrashed("It died during the request.", "Call it again.") from error
            raise


@dataclass(eq=False)
class Service:
    """One service of the stand-in.

    Attributes:
        argv: its command; empty for one that can't run here.
    """

    argv: Sequence[str]
    known: Known = field(default_factory=Known)
    state: State = State.STOPPED
    session: StandinSession | None = None
    leases: int = 0
    starts: int = 0
    life: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    ended: anyio.Event = field(default_factory=anyio.Event)
    listeners: list[MemoryObjectSendStream[Notification]] = field(
        default_factory=list[MemoryObjectSendStream[Notification]]
    )
    kept: SessionState = field(default_factory=SessionState)
    journal: Journal = field(default_factory=Journal)

    def tell(self, notification: Notification) -> None:
        """Pass a notification on."""
        for listener in self.listeners:
            listener.send_nowait(notification)


class Standin:
    """See `service_manager.daemon.managed.Managed`."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        self.services = dict(services)
        self.applied: list[tuple[str, ...]] = []
        self._tasks: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Run services until the block is left."""
        async with anyio.create_task_group() as self._tasks:
            yield
            self._tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def lease(self, name: str, progress: Progress | None = None) -> AsyncGenerator[StandinSession]:
        """Hold a running service."""
        service = self._get(name)
        service.leases += 1
        try:
            async with service.lock:
                if service.session is None:
                    await self._start(name, service)
            assert service.session is not None
            yield service.session
        finally:
            service.leases -= 1

    async def ready(self, name: str) -> None:
        """Start it."""
        async with self.lease(name):
            pass

    start = ready
    wake = ready

    async def stop(self, name: str) -> None:
        """Stop it."""
        service = self._get(name)
        async with service.lock:
            if service.session is not None:
                service.life.cancel()
                await service.ended.wait()
        service.state = State.STOPPED

    async def sleep(self, name: str) -> None:
        """Put it to sleep by stopping it."""
        service = self._get(name)
        if service.leases:
            raise SleepFailed(f"{name} is in use.", "Wait for its requests.")
        await self.stop(name)
        service.state = State.SLEEPING

    def status(self) -> tuple[ServiceStatus, ...]:
        """Every service."""
        return tuple(self.one(name) for name in self.services)

    def one(self, name: str) -> ServiceStatus:
        """One service."""
        service = self._get(name)
        reason = "" if service.argv else "Nothing to run."
        return ServiceStatus(
            name,
            service.state,
            Priority.NORMAL,
            unavailable_reason=reason,
            leases=service.leases,
            starts=service.starts,
        )

    def journal(self, name: str) -> Journal:
        """Its journal."""
        return self._get(name).journal

    def known(self, name: str) -> Known:
        """What it said and listed."""
        return self._get(name).known

    async def check(self) -> tuple[Check, ...]:
        return tuple(Check(status.name, ok=True, state=status.state, detail="") for status in self.status())

    async def usage(self) -> Mapping[str, ResourceUse]:
        """An invented reading of those that run."""
        running = (name for name, service in self.services.items() if service.session is not None)
        return {name: ResourceUse(1.5, MemoryUse(1000, 10, 5), sent=7) for name in running}

    async def apply(self, specs: Sequence[ServiceSpec], rules: ResourceRules | None = None) -> Changes:
        """Add and remove; what is added can't run, and nothing is limited."""
        names = {spec.name for spec in specs}
        removed = tuple(name for name in self.services if name not in names)
        added = tuple(name for name in names if name not in self.services)
        for name in removed:
            await self.stop(name)
            del self.services[name]
        self.services |= {name: Service(()) for name in added}
        self.applied.append(tuple(sorted(names)))
        return Changes(added, (), removed)

    @contextmanager
    def listen(self, name: str) -> Generator[MemoryObjectReceiveStream[Notification]]:
        """What it says without being asked."""
        service = self._get(name)
        send, receive = anyio.create_memory_object_stream[Notification](100)
        service.listeners.append(send)
        with send, receive:
            yield receive
        service.listeners.remove(send)

    async def set_level(self, name: str, level: str) -> None:
        """Ask for the most talkative level."""
        if self._get(name).kept.want_level(level):
            await self._ask(name, "logging/setLevel", level=level)

    async def subscribe(self, name: str, uri: str) -> None:
        """Subscribe for the first."""
        if self._get(name).kept.subscribe(uri):
            await self._ask(name, "resources/subscribe", uri=uri)

    async def unsubscribe(self, name: str, uri: str) -> None:
        """Unsubscribe for the last."""
        if self._get(name).kept.unsubscribe(uri):
            await self._ask(name, "resources/unsubscribe", uri=uri)

    async def _ask(self, name: str, method: str, **params: str) -> None:
        async with self.lease(name) as session:
            await session.request(method, params)

    async def _start(self, name: str, service: Service) -> None:
        if not service.argv:
            raise ServiceUnavailable(f"{name} can't run here. Nothing to run.", "Install something.")
        assert self._tasks is not None
        await self._tasks.start(self._live, service)

    async def _live(
        self, service: Service, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        service.life, service.ended = anyio.CancelScope(), anyio.Event()
        changed = anyio.Event()

        async def hear(message: object) -> None:
            if isinstance(message, BaseModel):
                said = message.model_dump(by_alias=True, mode="json", exclude_none=True)
                if said["method"] == "notifications/tools/list_changed":
                    changed.set()
                else:
                    service.tell(Notification(said["method"], said.get("params")))

        async def relearn(client: Client) -> None:
            await changed.wait()
            service.known = await _learn(client)
            service.tell(Notification("notifications/tools/list_changed"))

        try:
            with service.life:
                server = StdioServerParameters(command=service.argv[0], args=list(service.argv[1:]))
                async with Client(server, cache=None, message_handler=hear, mode="legacy") as client:
                    service.known = await _learn(client)
                    service.session = StandinSession(client.session)
                    service.starts += 1
                    service.state = State.RUNNING
                    task_status.started()
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(relearn, client)
                        await anyio.sleep_forever()
        finally:
            service.session = None
            service.state = State.STOPPED
            service.ended.set()

    def _get(self, name: str) -> Service:
        if name not in self.services:
            raise UnknownService(name, tuple(self.services))
        return self.services[name]


async def _learn(client: Client) -> Known:
    said = client.session.initialize_result
    assert said is not None
    session = StandinSession(client.session)
    listings: dict[str, Mapping[str, Any]] = {}
    for method, (_, key) in LISTINGS.items():
        page = await session.request(method, None)
        items = list(page[key])
        while cursor := page.pop("nextCursor", None):
            following = await session.request(method, {"cursor": cursor})
            items += following[key]
            page = {**following, **page}
        listings[method] = {**page, key: items}
    return Known(said.model_dump(by_alias=True, mode="json", exclude_none=True), listings)
