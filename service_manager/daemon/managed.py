"""What the daemon needs of the manager, besides what its endpoints do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from service_manager.endpoint.services import Services
from service_manager.journal import Journal
from service_manager.lifecycle.changes import Changes
from service_manager.model import ServiceSpec
from service_manager.policy.rules import ResourceRules
from service_manager.resources import ResourceUse
from service_manager.status import Check, ServiceStatus


class Managed(Services, Protocol):
    """See `service_manager.manager.ServiceManager`. Everything raises UnknownService for a wrong name."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Run services on demand; all of them have ended when the block is left."""
        ...

    async def start(self, name: str) -> None:
        """Start a service where needed."""
        ...

    async def stop(self, name: str) -> None:
        """Stop a service now."""
        ...

    async def sleep(self, name: str) -> None:
        """Put a service to sleep now."""
        ...

    async def wake(self, name: str) -> None:
        """Wake a service now."""
        ...

    def status(self) -> tuple[ServiceStatus, ...]:
        """Every service as it is now."""
        ...

    def one(self, name: str) -> ServiceStatus:
        """One service as it is now."""
        ...

    def journal(self, name: str) -> Journal:
        """What a service wrote to stderr."""
        ...

    async def check(self) -> tuple[Check, ...]:
        """Whether every service is well; none is started or woken for it."""
        ...

    async def usage(self) -> Mapping[str, ResourceUse]:
        """What those use that have processes, without waking one."""
        ...

    async def apply(self, specs: Sequence[ServiceSpec], rules: ResourceRules | None = None) -> Changes:
        """Take over changed specifications and limits; only what changed is restarted."""
        ...
