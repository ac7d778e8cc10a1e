"""A machine that runs services in memory: the driver's seam, honest about starts, deaths and slow ends.

Each process is a real MCP server at the other end of memory streams. Time is the running event loop's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
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

from service_manager.drivers.protocol import Sleeper
from service_manager.errors import InstallError, ServiceStartFailed, SleepFailed
from service_manager.journal import Journal
from service_manager.model import Command, Progress, ServiceSpec, Tier
from service_manager.resources import Limits, MemoryUse, ResourceUse


class Start(Enum):
    """What becomes of a start."""

    WORKS = auto()
    NOT_INSTALLABLE = auto()
    NO_PROGRAM = auto()
    DIES_AT_ONCE = auto()
    NEVER_ANSWERS = auto()


class Bed:
    """Freezes one process; see `service_manager.drivers.protocol.Sleeper`.

    Attributes:
        asleep: it is frozen.
        fails: the next fall into sleep ("sleep") or the next wake ("wake") fails.
    """

    def __init__(self, tiers: tuple[Tier, ...], sleep_s: float, wake_s: float) -> None:
        self.tiers = tiers
        self.missing = ""
        self.asleep = False
        self.fails = ""
        self._sleep_s = sleep_s
        self._wake_s = wake_s

    async def sleep(self, tier: Tier) -> None:
        if self.fails == "sleep":
            self.fails = ""
            raise SleepFailed("It is restless.")
        self.asleep = True
        # Frozen at once; what follows is paging out.
        await anyio.sleep(self._sleep_s)

    async def wake(self) -> None:
        if self.fails == "wake":
            self.fails = ""
            raise SleepFailed("It can't be woken.")
        await anyio.sleep(self._wake_s)
        self.asleep = False

    async def memory(self) -> MemoryUse:
        return MemoryUse(20 if self.asleep else 100)


class Process:
    """One process; see `service_manager.drivers.protocol.Running`.

    Attributes:
        bed: how it sleeps.
        disturbed: requests it was asked while it was frozen.
    """

    def __init__(self, name: str, pid: int, bed: Bed) -> None:
        self.name = name
        self.pid: int | None = pid
        self.transport: Transport = self._streams()
        self.bed = bed
        self.sleeper: Sleeper = bed
        self.disturbed: list[str] = []
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

    async def health(self) -> str:
        return ""

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
                    server = Server("fake", on_call_tool=self._call, on_list_tools=self._list)
                    await server.run(read, write, server.create_initialization_options())
            await read.aclose()
            await write.aclose()
            # The client's ends stay open until the driver lets go of it.
            await anyio.sleep_forever()

    async def _call(
        self, context: ServerRequestContext[Any], params: CallToolRequestParams
    ) -> CallToolResult:
        if self.bed.asleep:
            self.disturbed.append(params.name)
        return CallToolResult(content=[TextContent(text=f"{params.name} done")])

    async def _list(
        self, context: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        if self.bed.asleep:
            self.disturbed.append("tools/list")
        return ListToolsResult(tools=[])

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
        disturbed: requests that frozen processes were asked.
        sleep_s, wake_s: how long falling asleep and waking take; services that can sleep are in `sleepers`.
    """

    def __init__(
        self,
        stop_s: float,
        on_end: Callable[[Process], None],
        sleepers: frozenset[str] = frozenset(),
        sleep_s: float = 0.0,
        wake_s: float = 0.0,
    ) -> None:
        self.sleepers = sleepers
        self.sleep_s = sleep_s
        self.wake_s = wake_s
        self.disturbed: list[str] = []
        self.plan: dict[str, Start] = {}
        self.stop_s = stop_s
        self.installing: dict[str, anyio.Event] = {}
        self.live: dict[str, Process] = {}
        self.twice: list[str] = []
        self.on_end = on_end
        self._pids = count(100)

    def know(self, specs: Sequence[ServiceSpec]) -> None:
        """It makes no difference here."""

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
        tiers = (Tier.FROZEN,) if spec.name in self.sleepers else ()
        bed = Bed(tiers, self.sleep_s, self.wake_s)
        process = self.live[spec.name] = Process(spec.name, next(self._pids), bed)
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
            self.disturbed += process.disturbed
            del self.live[spec.name]
