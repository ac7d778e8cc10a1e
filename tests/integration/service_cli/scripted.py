"""A daemon over a real socket in a thread of its own, whose services are what the test says they are."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread

from service_manager.daemon.activity import Activity
from service_manager.daemon.address import Address, make_token, write_address
from service_manager.daemon.app import DaemonApp
from service_manager.daemon.control import Control
from service_manager.daemon.guard import Guard
from service_manager.daemon.place import place_of
from service_manager.endpoint.endpoints import Endpoints
from service_manager.errors import ServiceManagerError, UnknownService
from service_manager.journal import Journal
from service_manager.lifecycle.changes import Changes
from service_manager.model import State
from service_manager.resources import ResourceUse
from service_manager.status import ServiceStatus
from tests.integration.daemon.standin import Standin
from tests.support.loopback import serve

ACTIONS = {
    "start": State.RUNNING,
    "wake": State.RUNNING,
    "stop": State.STOPPED,
    "sleep": State.SLEEPING,
}


class Scripted(Standin):
    """A manager whose services have the states they were given, and those they are told to have.

    Attributes:
        statuses: the services.
        journals: what they wrote.
        refusals: what an action of a service raises instead of being done.
        uses: what the services use, one after another; the last one stays.
        ended: whether it was told to end.
    """

    def __init__(self, *statuses: ServiceStatus) -> None:
        super().__init__({})
        self.journals = {status.name: Journal() for status in statuses}
        self.statuses = {status.name: status for status in statuses}
        self.refusals: dict[tuple[str, str], ServiceManagerError] = {}
        self.uses: list[Mapping[str, ResourceUse]] = [{}]
        self.ended = False

    def status(self) -> tuple[ServiceStatus, ...]:
        return tuple(self.statuses.values())

    def one(self, name: str) -> ServiceStatus:
        if name not in self.statuses:
            raise UnknownService(name, ())
        return self.statuses[name]

    def journal(self, name: str) -> Journal:
        return self.journals[name]

    async def usage(self) -> Mapping[str, ResourceUse]:
        return self.uses.pop(0) if len(self.uses) > 1 else self.uses[0]

    async def _act(self, action: str, name: str) -> None:
        known = self.one(name)
        if error := self.refusals.get((name, action)):
            raise error
        self.statuses[name] = replace(known, state=ACTIONS[action])

    async def start(self, name: str) -> None:
        await self._act("start", name)

    async def wake(self, name: str) -> None:
        await self._act("wake", name)

    async def stop(self, name: str) -> None:
        await self._act("stop", name)

    async def sleep(self, name: str) -> None:
        await self._act("sleep", name)


@dataclass
class Home:
    """A home with a services.yml, and commands that are run in it."""

    directory: Path
    file: Path
    environ: Mapping[str, str] = field(default_factory=dict[str, str])

    @contextmanager
    def daemon(self, manager: Scripted, usage: Any = None) -> Generator[None]:
        """Serve the manager's services until the block is left."""
        with (
            anyio.from_thread.start_blocking_portal() as portal,
            portal.wrap_async_context_manager(_serving(self, manager, usage)),
        ):
            yield


@asynccontextmanager
async def _serving(home: Home, manager: Scripted, usage: Any) -> AsyncGenerator[None]:
    place = place_of(home.file, home.environ)
    place.make()

    async def reload() -> Changes:
        return Changes(added=("new",), removed=("old", "older"), limits=True)

    def end() -> None:
        manager.ended = True

    token, endpoints = make_token(place), Endpoints(manager)
    identity = {"pid": os.getpid(), "instance": "scripted"}

    async def nothing() -> dict[str, Any]:
        return {}

    control = Control(manager, identity, reload, end, partial(usage, manager) if usage else nothing)
    app = DaemonApp(Guard(token), endpoints, control, Activity())
    async with endpoints.open(), serve(app) as loopback:
        write_address(place, Address(loopback.url, "", token, os.getpid(), "scripted"))
        yield
        place.address.unlink()
