"""The services of a daemon that runs, called through their endpoints; see `services.Services`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import anyio
import anyio.abc
import structlog
from mcp import MCPError
from mcp.types import INTERNAL_ERROR, CallToolResult
from mcp.types import Tool as WireTool
from pydantic import TypeAdapter, ValidationError

from service_manager.daemon.address import Address
from service_manager.daemon.client import DaemonClient
from service_manager.errors import DaemonError, ServiceCrashed, ServiceManagerError
from service_manager.model import ServiceSpec, State
from service_manager.policy.rules import ResourceRules
from tool_router.catalog.model import Tool
from tool_router.gateway import daemon_wire
from tool_router.gateway.daemon_wire import Json, events, message_of
from tool_router.gateway.lean_http import Answer, HungUp, LeanHttp, NotSent
from tool_router.gateway.protocol import Progress, no_progress

LOOK_S = 5.0
"""Whether a service sleeps is asked this often at most; one that fell asleep since is woken by its call."""

MOST_WOKEN = 3
"""Services that are woken ahead of one call; as it is not known how much room the daemon has."""

ASKS_BACK = "input_required"
"""The ``resultType`` of an answer that asks the client something."""

_TOOLS = TypeAdapter(list[WireTool])


class DaemonServices:
    """Services of one run of a daemon.

    While any of them was called, a stream to it stays open: a daemon that was started on demand ends when
    nobody uses it, and what its services hold in memory with it.

    Args:
        address: where the daemon is.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._http = LeanHttp(address)
        self._control: DaemonClient | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        self._number = 0
        self._calls = 0
        self._answered = anyio.Event()
        self._staying = False
        self._looked: dict[str, float] = {}
        self._log = structlog.get_logger()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Hold connections to the daemon; requests under way may end when the block is left."""
        async with (
            self._http.open(),
            DaemonClient(self._address) as self._control,
            anyio.create_task_group() as self._tasks,
        ):
            try:
                yield
                while self._calls:
                    await self._answered.wait()
            finally:
                self._tasks.cancel_scope.cancel()

    async def tools(self, name: str) -> Sequence[WireTool]:
        """See `Services.tools`; from what the daemon knows, where it knows it."""
        listed = await self._ask(name, "tools/list", {})
        try:
            return _TOOLS.validate_python(listed.get("tools", []))
        except ValidationError as error:
            raise _not_allowed(name, "tools/list", error) from error

    async def call(self, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> CallToolResult:
        """See `Services.call`.

        Raises:
            DaemonError: the daemon is not there any more, and nothing was sent; or it refused the request.
        """
        name = tool.server
        params = {"name": tool.call_name or tool.name, "arguments": dict(arguments)}
        answer = await self._ask(name, "tools/call", params, tool.input_schema, progress)
        self._stay(name)
        if answer.get("resultType") == ASKS_BACK:
            said = f"{tool.name} asks something back before it runs, which can't be relayed."
            raise MCPError(INTERNAL_ERROR, said)
        try:
            return CallToolResult.model_validate(answer)
        except ValidationError as error:
            raise _not_allowed(name, "tools/call", error) from error

    def expect(self, names: Sequence[str]) -> None:
        """See `Services.expect`; asks the daemon in the background, and not for every call."""
        now = anyio.current_time()
        due = [name for name in names if now - self._looked.get(name, float("-inf")) >= LOOK_S]
        if due and self._tasks is not None:
            self._looked |= dict.fromkeys(due, now)
            self._tasks.start_soon(self._wake, due)

    async def apply(self, specs: Sequence[ServiceSpec], rules: ResourceRules) -> None:
        """Have the daemon read the files; it does so by itself, but later. Raises what it raises."""
        assert self._control is not None
        await self._control.reload()

    async def _ask(
        self,
        name: str,
        method: str,
        params: Mapping[str, Any],
        schema: object = None,
        progress: Progress = no_progress,
    ) -> Json:
        """Make a request; being cancelled closes its connection, which cancels it at the service."""
        self._number += 1
        number, wants_progress = self._number, progress is not no_progress
        self._calls += 1
        try:
            async with self._http.post(
                _endpoint(name),
                daemon_wire.headers(method, params, schema),
                daemon_wire.request(number, method, params, progress=wants_progress),
            ) as answer:
                if answer.content_type.startswith("text/event-stream"):
                    content = await _streamed(answer, number, progress)
                else:
                    content = await answer.read()
            return daemon_wire.result(content, answer.status)
        except NotSent as error:
            raise DaemonError(
                f"The daemon that runs {name} is gone ({error}).",
                "Try again: it is looked for, or started, by the next call.",
            ) from error
        except HungUp as error:
            raise ServiceCrashed(
                f"The daemon that runs {name} ended, or hung up, before {method} was answered.",
                "See its log (`service-manager status` says whether it runs); the next call starts it again.",
            ) from error
        finally:
            self._calls -= 1
            answered, self._answered = self._answered, anyio.Event()
            answered.set()

    def _stay(self, name: str) -> None:
        """Keep the daemon for this router from now on."""
        if not self._staying and self._tasks is not None:
            self._staying = True
            self._tasks.start_soon(self._hold, name)

    async def _hold(self, name: str) -> None:
        """Hold a stream of a service's endpoint; it wakes nobody."""
        method, params = "subscriptions/listen", {"notifications": {"toolsListChanged": True}}
        self._number += 1
        try:
            async with self._http.post(
                _endpoint(name),
                daemon_wire.headers(method, params),
                daemon_wire.request(self._number, method, params),
            ) as answer:
                async for _ in answer.chunks():
                    pass
                # One that is refused would be refused again; others end when the service is removed.
                self._staying = not answer.ok
        except (NotSent, HungUp) as error:
            self._staying = False
            self._log.debug("daemon_stream_ended", reason=str(error))

    async def _wake(self, names: Sequence[str]) -> None:
        control = self._control
        assert control is not None
        try:
            rows = await control.services()
            asleep = {row["name"] for row in rows if row["state"] == State.SLEEPING.value}
            async with anyio.create_task_group() as tasks:
                for name in [name for name in names if name in asleep][:MOST_WOKEN]:
                    tasks.start_soon(self._wake_one, control, name)
        except ServiceManagerError as error:
            self._log.debug("services_not_woken", reason=str(error))

    async def _wake_one(self, control: DaemonClient, name: str) -> None:
        try:
            await control.do(name, "wake")
        except ServiceManagerError as error:
            self._log.debug("service_not_woken", service=name, reason=str(error))


async def _streamed(answer: Answer, number: int, progress: Progress) -> bytes:
    """The JSON-RPC answer at the end of a stream; progress that comes before it is told.

    Raises:
        HungUp: the stream ended without one.
    """
    found = b""
    async for event in events(answer.chunks()):
        message = message_of(event) or {}
        params: Any = message.get("params")
        if message.get("id") == number and "method" not in message:
            found = event
        elif message.get("method") == "notifications/progress" and isinstance(params, dict):
            step: Json = params  # pyright: ignore[reportUnknownVariableType]  # JSON
            await progress(step.get("progress", 0), step.get("total"), step.get("message"))
    if not found:
        raise HungUp("the stream ended without an answer")
    return found


def _endpoint(name: str) -> str:
    return f"/services/{quote(name, safe='')}/mcp"


def _not_allowed(name: str, method: str, error: ValidationError) -> MCPError:
    said = f"{name} answered {method} with what the protocol does not allow"
    return MCPError(INTERNAL_ERROR, f"{said}: {error.errors()[0]['msg']}.")
