"""A machine that runs services in memory: the driver's seam, honest about starts, deaths and slow ends.

Each process is a real MCP server at the other end of memory streams. Time is the running event loop's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from enum import Enum, auto
from itertools import count
from typing import Any

import anyio
import anyio.abc
from mcp.client._transport import Transport, TransportStreams
from mcp.server import Server, ServerRequestContext
from mcp.shared.memory import create_client_server_memory_streams
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)

from service_manager.drivers.awake import AlwaysAwake
from service_manager.drivers.protocol import Sleeper
from service_manager.errors import InstallError, ServiceStartFailed
from service_manager.journal import Journal
from service_manager.model import Command, Progress, ServiceSpec
from service_manager.resources import Limits, MemoryUse, ResourceUse


class Start(Enum):
    """What becomes of a start."""

    WORKS = auto()
    NOT_INSTALLABLE = auto()
    NO_PROGRAM = auto()
    DIES_AT_ONCE = auto()
    NEVER_ANSWERS = auto()


async def _call(context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=f"{params.name} done")])


async def _list(context: ServerRequestContext[Any], params: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=[])


class Process:
    """One process; see `service_manager.drivers.protocol.Running`."""

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self.pid: int | None = pid
        self.transport: Transport = self._streams()
        self.sleeper: Sleeper = AlwaysAwake()
        self.enforced: Mapping[str, str] = {}
        self._code: int | None = None
        self._ended = anyio.Event()
        self._life = anyio.CancelScope()
        self._client: TransportStreams | None = None

    @property
    def dead(self) -> bool:
        return self._ended.is_set()

    def die(self, code: int) -> None:
        """End now; what it was doing is lost."""
        if not self.dead:
            self._code = code
            self._ended.set()
            self._life.cancel()

    def hang_up(self) -> None:
        """Close the streams and live on."""
        self._life.cancel()

    async def wait(self) -> None:
        await self._ended.wait()

    async def usage(self) -> ResourceUse:
        return ResourceUse(0.0, MemoryUse(0))

    def last_words(self) -> tuple[str, ...]:
        return ("out of luck",) if self.dead else ()

    def ending(self) -> str:
        return "" if self._code is None else f"exit code {self._code}"

    async def live(self, start: Start, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Serve until it ends."""
        async with create_client_server_memory_streams() as (client, (read, write)):
            self._client = client
            task_status.started()
            with self._life:
                if start is Start.DIES_AT_ONCE:
                    self.die(7)
                elif start is Start.NEVER_ANSWERS:
                    await anyio.sleep_forever()
                else:
                    server = Server("fake", on_call_tool=_call, on_list_tools=_list)
                    await server.run(read, write, server.create_initialization_options())
            await read.aclose()
            await write.aclose()
            # The client's ends stay open until the driver lets go of it.
            await anyio.sleep_forever()

    @asynccontextmanager
    async def _streams(self) -> AsyncGenerator[TransportStreams]:
        assert self._client is not None
        yield self._client


class Host:
    """Installs and runs services, and writes down what it was asked to do.

    Attributes:
        plan: what becomes of the next start of each service; it works where nothing is planned.
        stop_s: how long a process takes to end when it is asked to.
        installing: closed doors; a service with one is installed only once its door is opened.
        live: the processes there are.
        twice: services that were started while a process of theirs was there.
        on_end: told of a process that is ended by the driver rather than by itself.
    """

    def __init__(self, stop_s: float, on_end: Callable[[Process], None]) -> None:
        self.plan: dict[str, Start] = {}
        self.stop_s = stop_s
        self.installing: dict[str, anyio.Event] = {}
        self.live: dict[str, Process] = {}
        self.twice: list[str] = []
        self.on_end = on_end
        self._pids = count(100)

    async def resolve(self, spec: ServiceSpec, progress: Progress) -> Command:
        await progress(0.0, None, f"installing {spec.name}")
        if door := self.installing.get(spec.name):
            await door.wait()
        if self.plan.get(spec.name) is Start.NOT_INSTALLABLE:
            del self.plan[spec.name]
            raise InstallError(f"{spec.name} is nowhere to be had.")
        return Command((spec.name,))

    @asynccontextmanager
    async def run(
        self, spec: ServiceSpec, command: Command, limits: Limits, journal: Journal
    ) -> AsyncGenerator[Process]:
        start = self.plan.pop(spec.name, Start.WORKS)
        if start is Start.NO_PROGRAM:
            raise ServiceStartFailed(f"{spec.name} can't be started: no such program.")
        if spec.name in self.live:
            self.twice.append(spec.name)
        process = self.live[spec.name] = Process(spec.name, next(self._pids))
        try:
            async with anyio.create_task_group() as tasks:
                await tasks.start(process.live, start)
                try:
                    yield process
                finally:
                    if not process.dead:
                        self.on_end(process)
                        with anyio.CancelScope(shield=True):
                            await anyio.sleep(self.stop_s)
                        process.die(-15)
                    tasks.cancel_scope.cancel()
        finally:
            del self.live[spec.name]
