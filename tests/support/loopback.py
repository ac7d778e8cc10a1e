"""Real HTTP servers on 127.0.0.1 in the test's own event loop, whose paths can be made to fail."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Fault = Callable[[Scope, Receive, Send], Awaitable[None]]
"""Answers a request instead of the application, badly."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        """The body as JSON; empty when it has none."""
        return json.loads(self.body) if self.body else {}


@dataclass(eq=False)
class FaultyApp:
    """Records every request, and lets `faults` answer those whose path they name.

    Attributes:
        faults: by path; "*" is every path.
        seen: the requests that arrived, in order.
    """

    app: ASGIApp
    faults: dict[str, Fault] = field(default_factory=dict[str, Fault])
    seen: list[Seen] = field(default_factory=list[Seen])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        self.seen.append(Seen(scope["method"], scope["path"], scope["query_string"].decode(), headers, body))

        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        fault = self.faults.get(scope["path"]) or self.faults.get("*")
        await (fault or self.app)(scope, again, send)

    def arrived(self, path: str) -> list[Seen]:
        """The requests for one path."""
        return [request for request in self.seen if request.path == path]


def answer(
    status: int = 200,
    body: bytes | str = b"",
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Fault:
    """A whole answer, whatever was asked."""
    content = body.encode() if isinstance(body, str) else body

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        sent = {"content-type": content_type, "content-length": str(len(content)), **(headers or {})}
        raw = [(name.encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    return respond


def break_off(body: bytes = b'{"jsonrpc": "2.0", "re', *, after_headers: bool = True) -> Fault:
    """An answer whose connection ends before it is whole."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        if not after_headers:
            raise ConnectionAbortedError("the test breaks the connection off")
        raw = [(b"content-type", b"application/json"), (b"content-length", b"5000")]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        raise ConnectionAbortedError("the test breaks the connection off")

    return respond


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    """No answer as long as the client waits."""
    while (await receive())["type"] != "http.disconnect":
        pass


@dataclass(frozen=True, slots=True)
class Loopback:
    """A running server.

    Attributes:
        url: its root address.
    """

    url: str
    server: uvicorn.Server

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self.server.server_state.connections)


@asynccontextmanager
async def serve(app: ASGIApp, port: int = 0) -> AsyncGenerator[Loopback]:
    """Serve an application until the block is left; 0 takes a free port."""
    listener = socket.create_server(("127.0.0.1", port))
    # asyncio does that for sockets that name their protocol, which those of create_server do not. Without it
    # an answer in two writes waits for the client's delayed acknowledgement, 40 ms. Accepted sockets inherit.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(app, log_config=None, log_level="critical", timeout_graceful_shutdown=0)
    server = uvicorn.Server(config)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, [listener])
        try:
            yield Loopback(url, server)
        finally:
            server.should_exit = True


def refusing_url() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
