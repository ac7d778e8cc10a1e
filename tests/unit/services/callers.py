"""Somebody who asks for a service, holds it and lets go of it, at times of the test's choosing."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

import anyio
from mcp import MCPError

from service_manager.errors import ServiceManagerError
from service_manager.lifecycle.session import ServiceSession
from service_manager.manager import ServiceManager


class Stage(Enum):
    """How far a caller is."""

    COMING = auto()
    ASKING = auto()
    HOLDING = auto()
    GONE = auto()


class Caller:
    """One caller's lease.

    Attributes:
        error: what it heard instead of getting a session.
        lost: its service was stopped or broke while it was held.
        heard: the progress it was told of.
        answers: what its requests came to, "ok" or the error's type.
    """

    def __init__(self, service: str, arrives_in_s: float) -> None:
        self.service = service
        self.stage = Stage.COMING
        self.error: ServiceManagerError | None = None
        self.lost = False
        self.heard: list[str] = []
        self.answers: list[str] = []
        self._arrives_in_s = arrives_in_s
        self._scope = anyio.CancelScope()
        self._enough = anyio.Event()
        self._session: ServiceSession | None = None

    async def live(self, manager: ServiceManager, holds: Callable[[Caller], None] | None = None) -> None:
        """Ask, hold until told otherwise, go; `holds` hears of it at the moment the session is there."""
        try:
            with self._scope:
                if self._arrives_in_s:
                    await anyio.sleep(self._arrives_in_s)
                self.stage = Stage.ASKING
                async with manager.lease(self.service, self._hear) as self._session:
                    self.stage = Stage.HOLDING
                    if holds is not None:
                        holds(self)
                    await self._enough.wait()
                    self.stage = Stage.GONE
        except ServiceManagerError as error:
            self.error = error
        finally:
            self.stage = Stage.GONE

    async def use(self) -> None:
        """Make one request."""
        assert self._session is not None
        try:
            result = await self._session.call_tool("echo", {}, self._progress)
        except (ServiceManagerError, MCPError) as error:
            self.answers.append(type(error).__name__)
        else:
            self.answers.append("wrong" if result.is_error else "ok")

    def let_go(self) -> None:
        """End normally."""
        self._enough.set()

    def give_up(self) -> None:
        """Be cancelled."""
        self._scope.cancel()

    async def _hear(self, progress: float, total: float | None, message: str) -> None:
        self.heard.append(message)

    async def _progress(self, progress: float, total: float | None, message: str) -> None:
        """Nobody reports any."""
