"""Holds the connections of gateways that come and go: each is opened and closed in a task of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.abc

from tool_router.gateway.protocol import Gateway
from tool_router.tasks import plain_task_group

LEAVE_S = 60.0
"""How long the calls of a removed target may still take before its connections are closed."""

Idle = Callable[[], Awaitable[None]]
"""Returns when no call is under way."""


async def at_once() -> None:
    """Wait for no call."""


@dataclass(slots=True, eq=False)
class _Guest:
    leave: anyio.Event = field(default_factory=anyio.Event)
    idle: Idle = at_once


class Hosting:
    """Opens gateways while it is open itself."""

    def __init__(self) -> None:
        self._guests: dict[str, _Guest] = {}
        self._tasks: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Host until the block is left; then every gateway is closed."""
        async with plain_task_group() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None
                for guest in self._guests.values():
                    guest.leave.set()
                self._guests.clear()

    async def add(self, name: str, gateway: Gateway) -> None:
        """Open a gateway, before this returns; nothing before `open` has begun."""
        if self._tasks is None or name in self._guests:
            return
        guest = self._guests[name] = _Guest()
        await self._tasks.start(self._host, gateway, guest)

    def remove(self, name: str, idle: Idle) -> None:
        """Close a gateway as soon as `idle` returns."""
        guest = self._guests.pop(name, None)
        if guest is not None:
            guest.idle = idle
            guest.leave.set()

    @staticmethod
    async def _host(
        gateway: Gateway,
        guest: _Guest,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        async with gateway.open():
            task_status.started()
            await guest.leave.wait()
            with anyio.move_on_after(LEAVE_S):
                await guest.idle()
