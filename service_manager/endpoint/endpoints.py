"""The endpoints of all services, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.abc
from starlette.types import Receive, Scope, Send

from service_manager.endpoint.endpoint import Endpoint
from service_manager.endpoint.services import Services
from service_manager.lifecycle.known import Known


@dataclass(eq=False)
class _Open:
    """One endpoint, the scope it lives in, and whether it serves yet."""

    endpoint: Endpoint
    life: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ready: anyio.Event = field(default_factory=anyio.Event)


class Endpoints:
    """Every service's endpoint; they serve while `open` is held.

    Args:
        services: the manager.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tasks: anyio.abc.TaskGroup | None = None
        self._open: dict[str, _Open] = {}

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Serve until the block is left; sessions and streams end with it."""
        async with anyio.create_task_group() as self._tasks:
            try:
                yield
            finally:
                self._tasks.cancel_scope.cancel()
                self._open.clear()

    async def handle(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request to a service's endpoint; who may ask has been checked.

        Raises:
            UnknownService: there is none of that name.
        """
        # Also of one that is open: services may be gone.
        self._services.known(name)
        found = self._open.get(name)
        if found is None:
            assert self._tasks is not None
            found = self._open[name] = _Open(Endpoint(name, self._services))
            self._tasks.start_soon(self._run, found)
        await found.ready.wait()
        await found.endpoint.handle(scope, receive, send)

    def close_all(self) -> None:
        """End every session and stream now; the daemon is about to end."""
        self.close_gone(())

    def close_gone(self, names: Collection[str]) -> None:
        """End the endpoints of services that are none of these."""
        for name in self._open.keys() - set(names):
            self._open.pop(name).life.cancel()

    def renew(self, name: str, before: Known) -> None:
        """Have a service's clients go on with what it is now (see `Endpoint.renew`)."""
        found = self._open.get(name)
        if found is not None and found.ready.is_set():
            found.endpoint.renew(before)

    async def _run(self, opened: _Open) -> None:
        try:
            with opened.life:
                async with opened.endpoint.open():
                    opened.ready.set()
                    await anyio.sleep_forever()
        finally:
            # Nobody may wait for one that did not open.
            opened.ready.set()
