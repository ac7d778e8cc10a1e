"""What a driver is: it runs a service and hands out a connection to it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from mcp.client._transport import Transport

from service_manager.model import Command, ServiceSpec


class Running(Protocol):
    """A service that runs.

    Attributes:
        transport: its MCP streams, for one client.
        pid: its process, None where the driver has none.
    """

    transport: Transport
    pid: int | None

    async def wait(self) -> None:
        """Return when the service has ended by itself."""
        ...

    def last_words(self) -> tuple[str, ...]:
        """The last lines it wrote to stderr, oldest first."""
        ...

    def ending(self) -> str:
        """How it ended, e.g. "exit code 1"; empty while it runs."""
        ...


class Driver(Protocol):
    """Runs services of one kind."""

    def run(self, spec: ServiceSpec, command: Command) -> AbstractAsyncContextManager[Running]:
        """Run the service until the block is left, then end it whole.

        Raises:
            ServiceStartFailed: it can't be started.
        """
        ...
