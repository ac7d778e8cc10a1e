"""One service's MCP endpoint: it never goes away, and wakes the service only for what only the service knows.

`initialize`, `server/discover`, `ping` and the listings are answered from what is known; everything else is
relayed under a lease. Spoken over Streamable HTTP in both protocol eras.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any, cast

import anyio
import anyio.abc
import structlog
from mcp import MCPError
from mcp.server import Server
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.subscriptions import event_from_wire
from mcp.types import INVALID_PARAMS, SubscriptionsListenRequestParams, SubscriptionsListenResult
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from starlette.types import Receive, Scope, Send

from service_manager.endpoint import answers
from service_manager.endpoint.clients import Clients, SessionClient
from service_manager.endpoint.services import Services
from service_manager.errors import ServiceManagerError, UnknownService
from service_manager.lifecycle.known import LISTINGS, Known, Notification
from service_manager.lifecycle.replay import LEVELS
from service_manager.lifecycle.session import MAX_PAGES

FIRST_ANSWER_S = 20.0
"""How long `initialize` waits for a service nothing is known of; a gateway gives up at 30 s or later."""

SESSION_IDLE_S = 900.0
"""A session without a request or an open stream for so long ends; its client opens another."""

MOST_SESSIONS = 2_000
MOST_STREAMS = 500
MOST_BODY_BYTES = 64 * 1024 * 1024
"""As long as a line a service may write (see `drivers.lines`)."""


class Endpoint:
    """One service's endpoint; serves while `open` is held.

    Args:
        name: the service.
        services: the manager.
        session_idle_s: how long a session lives without a request or an open stream.
    """

    def __init__(self, name: str, services: Services, session_idle_s: float = SESSION_IDLE_S) -> None:
        self._name = name
        self._services = services
        self._clients = Clients(name)
        self._bus = InMemorySubscriptionBus()
        self._streams = ListenHandler(self._bus, max_subscriptions=MOST_STREAMS)
        self._log = structlog.get_logger().bind(service=name)
        self._tasks: anyio.abc.TaskGroup | None = None
        self._listening = anyio.CancelScope()
        self._held: list[str] = []
        # Its own listing would be asked through HTTP headers otherwise, once for each call.
        server: Server[Any] = Server(
            name, get_tool_input_schema=self._schema, on_subscriptions_listen=self._listen
        )
        server.middleware = [self._serve]
        self._http = StreamableHTTPSessionManager(
            server,
            session_idle_timeout=session_idle_s,
            max_sessions=MOST_SESSIONS,
            max_request_body_size=MOST_BODY_BYTES,
        )

    @property
    def sessions(self) -> int:
        """How many clients have a session."""
        return len(self._clients)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Serve until the block is left; sessions and streams end with it."""
        async with self._http.run(), anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._distribute)
            try:
                yield
            finally:
                self._streams.close()
                self._tasks.cancel_scope.cancel()

    def renew(self, before: Known) -> None:
        """Go on with what the service is now; its specification changed.

        Args:
            before: what was known of it before that; clients are told what is different.
        """
        assert self._tasks is not None
        self._listening.cancel()
        self._tasks.start_soon(self._renew, before)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; who may ask has been checked."""
        await self._http.handle_request(scope, receive, send)

    async def _serve(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.request_id is None:
            return await call_next(ctx)
        try:
            match ctx.method:
                case "initialize":
                    base = await call_next(ctx)
                    known = await self._acquainted()
                    self._welcome(ctx)
                    return answers.introduced(cast("Mapping[str, Any]", base), known, self._name)
                case "server/discover":
                    base = await call_next(ctx)
                    return answers.discovered(
                        cast("Mapping[str, Any]", base), await self._acquainted(), self._name
                    )
                case "ping" | "subscriptions/listen":
                    return await call_next(ctx)
                case _:
                    return await self._answer(ctx)
        except ServiceManagerError as error:
            raise answers.as_mcp_error(error) from error

    async def _answer(self, ctx: ServerRequestContext[Any, Any]) -> dict[str, Any]:
        modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        result: dict[str, Any] | None = None
        if ctx.method in LISTINGS:
            result = answers.listing(self._services.known(self._name), ctx.method, ctx.params)
            if result is None and (ctx.params or {}).get("cursor") is None:
                result = await self._listed(ctx)
        elif not modern and ctx.method in (
            "logging/setLevel",
            "resources/subscribe",
            "resources/unsubscribe",
        ):
            await self._set(ctx)
            return {}
        if result is None:
            result = await self._relayed(ctx)
        known = self._services.known(self._name)
        return answers.answered(result, ctx.method, known, self._name, modern=modern)

    async def _listed(self, ctx: ServerRequestContext[Any, Any]) -> dict[str, Any]:
        """Everything the service lists, on one page: the next page may be asked for when that is known."""
        key = LISTINGS[ctx.method][1]
        params, _ = answers.upstream(ctx.params)
        whole: dict[str, Any] = {}
        items: list[Any] = []
        async with self._services.lease(self._name) as session:
            for _ in range(MAX_PAGES):
                page = await session.request(ctx.method, params)
                items += page.get(key, [])
                cursor = page.pop("nextCursor", None)
                whole = {**page, **whole}
                if not cursor:
                    break
                params = {**(params or {}), "cursor": cursor}
        return {**whole, key: items}

    async def _relayed(self, ctx: ServerRequestContext[Any, Any]) -> dict[str, Any]:
        params, wants_progress = answers.upstream(ctx.params)

        async def relay(progress: float, total: float | None, message: str) -> None:
            # With the token this client gave.
            await ctx.session.report_progress(progress, total, message or None)

        listener = relay if wants_progress else None
        async with self._services.lease(self._name, listener) as session:
            return await session.request(ctx.method, params, listener)

    async def _set(self, ctx: ServerRequestContext[Any, Any]) -> None:
        """What a client sets in its session: kept for it, and asked of the service for all of them."""
        client = _client_of(ctx)
        params = ctx.params or {}
        if ctx.method == "logging/setLevel":
            level = params.get("level")
            if level not in LEVELS:
                raise MCPError(INVALID_PARAMS, f"There is no level {level!r}.", list(LEVELS))
            await self._services.set_level(self._name, level)
            client.level = level
            return
        uri = params.get("uri")
        if not isinstance(uri, str):
            raise MCPError(INVALID_PARAMS, "A subscription needs a `uri`.")
        if ctx.method == "resources/subscribe":
            if uri not in client.uris:
                await self._services.subscribe(self._name, uri)
                client.uris.add(uri)
        elif uri in client.uris:
            client.uris.remove(uri)
            await self._services.unsubscribe(self._name, uri)

    async def _acquainted(self) -> Known:
        """What is known of the service; it is started when that is nothing, as far as it can be."""
        known = self._services.known(self._name)
        if known.about or known.listings:
            return known
        with anyio.move_on_after(FIRST_ANSWER_S):
            try:
                await self._services.ready(self._name)
            except ServiceManagerError as error:
                # The endpoint is there all the same; calls will say why the service is not.
                self._log.info("service_unknown", error=str(error))
        return self._services.known(self._name)

    def _welcome(self, ctx: ServerRequestContext[Any, Any]) -> None:
        """Keep a client in mind that opens a session, for as long as it has it."""
        connection = _connection_of(ctx)
        client = connection.state["client"] = SessionClient()
        self._clients.join(client)
        connection.exit_stack.push_async_callback(self._farewell, client)
        assert self._tasks is not None
        self._tasks.start_soon(partial(_deliver, client, connection))

    async def _farewell(self, client: SessionClient) -> None:
        self._clients.leave(client)
        for uri in client.uris:
            await self._unsubscribe(uri)

    async def _unsubscribe(self, uri: str) -> None:
        try:
            await self._services.unsubscribe(self._name, uri)
        except (ServiceManagerError, MCPError) as error:
            self._log.info("not_unsubscribed", uri=uri, error=str(error))

    async def _listen(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """A client's stream of notifications (protocol 2026-07-28); subscribed as long as it is open."""
        held: list[str] = []
        try:
            for uri in dict.fromkeys(params.notifications.resource_subscriptions or ()):
                await self._services.subscribe(self._name, uri)
                held.append(uri)
                self._held.append(uri)
            return await self._streams(ctx, params)
        finally:
            with anyio.CancelScope(shield=True):
                for uri in held:
                    self._held.remove(uri)
                    await self._unsubscribe(uri)

    async def _distribute(self) -> None:
        """Tell clients what the service says without being asked, whoever runs it."""
        while True:
            with self._listening:
                await self._hear()
            if not self._listening.cancel_called:
                return
            self._listening = anyio.CancelScope()

    async def _hear(self) -> None:
        with ExitStack() as stack:
            try:
                notifications = stack.enter_context(self._services.listen(self._name))
            except UnknownService:
                # Gone in the moment its endpoint was made; requests hear of it.
                return
            async for notification in notifications:
                await self._tell(notification)

    async def _tell(self, notification: Notification) -> None:
        self._clients.tell(notification)
        event = event_from_wire(notification.method, notification.params)
        if event is not None:
            await self._bus.publish(event)

    async def _renew(self, before: Known) -> None:
        for notification in self._services.known(self._name).changed_since(before):
            await self._tell(notification)
        try:
            for level in self._clients.levels():
                await self._services.set_level(self._name, level)
            for uri in (*self._clients.uris(), *self._held):
                await self._services.subscribe(self._name, uri)
        except (ServiceManagerError, MCPError) as error:
            self._log.warning("not_subscribed_again", error=str(error))

    def _schema(self, tool: str) -> Mapping[str, Any] | None:
        return answers.input_schema(self._services.known(self._name), tool)


async def _deliver(client: SessionClient, connection: Connection) -> None:
    """Send one client what waits for it; it may read slowly, and keeps nobody else waiting."""
    with client.waiting:
        async for notification in client.waiting:
            await connection.notify(notification.method, notification.params)


def _connection_of(ctx: ServerRequestContext[Any, Any]) -> Connection:
    # Its state and its exit stack are made for middleware, which the context gives no other way to.
    return ctx.session._connection  # pyright: ignore[reportPrivateUsage]


def _client_of(ctx: ServerRequestContext[Any, Any]) -> SessionClient:
    client: Any = _connection_of(ctx).state.get("client")
    if not isinstance(client, SessionClient):
        raise MCPError(INVALID_PARAMS, "There is no session.")
    return client
