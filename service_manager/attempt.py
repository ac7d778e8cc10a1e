"""One start of a service, shared by everyone who waits for it."""

from __future__ import annotations

import anyio

from service_manager.errors import ServiceManagerError
from service_manager.model import Progress
from service_manager.session import ServiceSession


class Attempt:
    """One start that any number of callers wait for; it goes on when some of them give up.

    Attributes:
        life: cancelling it ends what was started.
        settled: set once there is a session, or none to be had.
        session: what the callers wait for.
        error: why there is none; None as well when it was stopped before it ran.
        listeners: who is told how far it is.
    """

    def __init__(self) -> None:
        self.life = anyio.CancelScope()
        self.settled = anyio.Event()
        self.session: ServiceSession | None = None
        self.error: ServiceManagerError | None = None
        self.listeners: list[Progress] = []

    async def relay(self, progress: float, total: float | None, message: str) -> None:
        """Tell every waiting caller how far the start is."""
        for listener in tuple(self.listeners):
            await listener(progress, total, message)
