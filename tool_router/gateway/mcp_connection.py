"""One MCP connection, from the attempt to open it to its end, in a task of its own."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, cast, runtime_checkable

import anyio
import structlog
from mcp import Client, MCPError
from mcp.client import IncomingMessage
from mcp.client._transport import Transport, TransportStreams
from mcp.client.subscriptions import SubscriptionLost
from mcp.types import Implementation, ToolListChangedNotification
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from service_manager.errors import ServiceManagerError
from tool_router.errors import GatewayError, GatewayFailed, GatewayTimeout
from tool_router.gateway.mcp_failure import Failures, answered_error, is_closed
from tool_router.gateway.mcp_reads import Reads

CLOSE_S = 3.0
"""How long closing a connection may take before it is cut."""

LISTEN_AGAIN_S = 30.0
"""Pause before changes are listened for again after that stream has ended."""

_OPENING_ERRORS = (
    MCPError,
    ServiceManagerError,
    OSError,
    ValidationError,
    ValueError,
    RuntimeError,
    ExceptionGroup,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
)
"""What the SDK raises when a connection can't be opened, and what its task groups bundle when one ends."""


class Endpoint(Protocol):
    """A far side that speaks MCP: an address, or a command."""

    key: str
    """Tells it from other far sides; holds no secret."""
    label: str
    """What messages call it; holds no secret."""

    def connect(self, failures: Failures) -> Transport:
        """Open the streams; what goes wrong below the protocol is kept in `failures`."""
        ...


@runtime_checkable
class CheapEndpoint(Endpoint, Protocol):
    """A far side that is asked anew rather than waited for.

    An attempt to open a connection may hang on a line that is dead, so one that nobody waits for any more is
    given up. A command is different: it may take longer to start than any one caller waits.
    """

    cheap_to_open: bool
    """True; a marker of this kind of far side."""


class Connection:
    """A client of the SDK and the task that holds it.

    Args:
        endpoint: the far side.
        mode: "auto" finds the protocol era out; "legacy", or a version, fixes it.
        connect_timeout_s: how long opening may take, in seconds, the negotiation included.
        on_change: told that the far side's tools have changed.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        mode: str,
        connect_timeout_s: float,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._mode = mode
        self._connect_timeout_s = connect_timeout_s
        self._on_change = on_change
        self._failures = Failures()
        self._ready = anyio.Event()
        self._closing = anyio.Event()
        self._done = anyio.Event()
        self._client: Client | None = None
        self._error: GatewayError | None = None
        self._users = 0
        self._opening = anyio.CancelScope()
        self._log = structlog.get_logger()
        self.dropped = False
        """Whether it takes no new requests: it failed, or its far side has ended."""

    async def run(self) -> None:
        """Open the connection and hold it until it is dropped and unused, or closed."""
        try:
            with self._opening as scope:
                scope.deadline = anyio.current_time() + self._connect_timeout_s
                async with self._sdk_client() as client:
                    scope.deadline = math.inf
                    self._client = client
                    self._log.debug(
                        "mcp_connected", endpoint=self._endpoint.label, version=client.protocol_version
                    )
                    self._ready.set()
                    async with anyio.create_task_group() as tasks:
                        if self._on_change is not None:
                            tasks.start_soon(self._follow_changes, client, self._on_change)
                        await self._closing.wait()
                        tasks.cancel_scope.cancel()
            if self._client is None:
                self._error = GatewayTimeout(
                    f"{self._endpoint.label} did not speak MCP within {self._connect_timeout_s:g} s.",
                    "See whether it is an MCP server, and whether it is overloaded or frozen.",
                )
        except _OPENING_ERRORS as error:
            self._error = await self.explain(error)
        finally:
            if self._client is None and self._error is not None:
                self._error.reached_tool = False
            self.dropped = True
            self._log.debug(
                "mcp_disconnected", endpoint=self._endpoint.label, why=str(self._error) if self._error else ""
            )
            self._ready.set()
            self._done.set()

    @asynccontextmanager
    async def use(self) -> AsyncGenerator[Client]:
        """The client, for one request; waits for the connection to open.

        Raises:
            GatewayError: it could not be opened.
        """
        self._users += 1
        try:
            await self._ready.wait()
            if self._client is None:
                raise self._error or GatewayFailed(f"The connection to {self._endpoint.label} was closed.")
            yield self._client
        finally:
            self._users -= 1
            given_up = self._client is None and isinstance(self._endpoint, CheapEndpoint)
            if self.dropped or (given_up and self._users == 0):
                self.drop()

    def drop(self) -> None:
        """Take no new requests; it is closed when the last one has ended."""
        self.dropped = True
        if self._users == 0:
            self._end()

    async def close(self) -> None:
        """End it, politely for `CLOSE_S` seconds at most."""
        with anyio.move_on_after(CLOSE_S, shield=True):
            self._end()
            await self._done.wait()

    def _end(self) -> None:
        self._closing.set()
        if self._client is None:
            self._opening.cancel()

    async def explain(self, error: BaseException) -> GatewayError:
        """The failure behind an exception of the SDK."""
        opened = self._client is not None
        cause = _first_leaf(error)
        if isinstance(cause, MCPError):
            if is_closed(cause) and (ended := await self._failures.ended(opened=opened)) is not None:
                return ended
            return self._failures.take(cause) or answered_error(cause, self._endpoint.label)
        return await self._failures.ended(opened=opened) or GatewayFailed(
            f"The connection to {self._endpoint.label} did not hold: {type(cause).__name__}: {cause}.",
            "See its log for why.",
        )

    async def _follow_changes(self, client: Client, on_change: Callable[[], None]) -> None:
        """Hear of changed tools on 2026-07-28; older servers notify unasked."""
        tools = client.server_capabilities.tools
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or not (tools and tools.list_changed):
            return
        while True:
            try:
                async with client.listen(tools_list_changed=True) as subscription:
                    async for _ in subscription:
                        on_change()
            except (MCPError, SubscriptionLost) as error:
                self._log.debug("mcp_listen_ended", endpoint=self._endpoint.label, error=str(error))
            await anyio.sleep(LISTEN_AGAIN_S)
            # What happened meanwhile was not heard.
            on_change()

    @asynccontextmanager
    async def _sdk_client(self) -> AsyncGenerator[Client]:
        async def notified(message: IncomingMessage) -> None:
            if isinstance(message, ToolListChangedNotification) and self._on_change is not None:
                self._on_change()

        client = Client(
            self._streams(),
            mode=self._mode,
            client_info=Implementation(name="tool-router", version="0.1"),
            message_handler=notified,
            cache=None,
        )
        async with client:
            yield client

    @asynccontextmanager
    async def _streams(self) -> AsyncGenerator[TransportStreams]:
        def version() -> str | None:
            return self._client.protocol_version if self._client else None

        async with self._endpoint.connect(self._failures) as (reads, writes):
            yield Reads(reads, version, self.drop), writes


def _first_leaf(error: BaseException) -> BaseException:
    """An exception out of nested groups; the first is the cause, the others followed from it."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return _first_leaf(group.exceptions[0])
    return error
