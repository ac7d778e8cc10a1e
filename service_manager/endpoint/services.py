"""What an endpoint needs of the manager."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol

from anyio.abc import ObjectReceiveStream

from service_manager.lifecycle.known import Known, Notification
from service_manager.model import Progress


class Session(Protocol):
    """What a lease gives; see `service_manager.lifecycle.session.ServiceSession`."""

    async def request(
        self, method: str, params: Mapping[str, Any] | None, listener: Progress | None = None
    ) -> dict[str, Any]:
        """Make any request and return its result as it came."""
        ...


class Services(Protocol):
    """See `service_manager.manager.ServiceManager`. Everything raises UnknownService for a wrong name."""

    def lease(self, name: str, progress: Progress | None = None) -> AbstractAsyncContextManager[Session]:
        """Hold a running service for the time of the block; it is started or woken first."""
        ...

    async def ready(self, name: str) -> None:
        """Start or wake a service."""
        ...

    def known(self, name: str) -> Known:
        """What is known of a service without asking it."""
        ...

    def listen(self, name: str) -> AbstractContextManager[ObjectReceiveStream[Notification]]:
        """What a service says without being asked, until the block is left."""
        ...

    async def set_level(self, name: str, level: str) -> None:
        """How much a service is to log."""
        ...

    async def subscribe(self, name: str, uri: str) -> None:
        """Have a service tell when a resource changes."""
        ...

    async def unsubscribe(self, name: str, uri: str) -> None:
        """Have it tell no longer."""
        ...
