"""An MCP client without an SDK: what arrives is seen exactly as it was sent. Both protocol eras."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx2

Era = Literal["2025-11-25", "2026-07-28"]
Json = dict[str, Any]

LEGACY: Era = "2025-11-25"
MODERN: Era = "2026-07-28"

_META = "io.modelcontextprotocol/"
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class WireClient:
    """One client; of the handshake era it has a session."""

    def __init__(self, http: httpx2.AsyncClient, path: str, era: Era) -> None:
        self._http = http
        self._path = path
        self.era = era
        self._session = ""
        self._next = 0

    async def connect(self) -> Json:
        """Open a session, or ask what the server is; gives its answer."""
        self._session = ""
        if self.era == MODERN:
            return (await self.ask("server/discover"))["result"]
        params = {
            "protocolVersion": LEGACY,
            "capabilities": {},
            "clientInfo": {"name": "wire", "version": "1"},
        }
        async with self._posted("initialize", params, 0) as response:
            assert response.status_code == 200, (response.status_code, await response.aread())
            self._session = response.headers["mcp-session-id"]
            answer = [message async for message in _messages(response)][-1]
        await self.notify("notifications/initialized")
        return answer["result"]

    async def ask(self, method: str, params: Json | None = None) -> Json:
        """Make a request and give the whole answer."""
        return [message async for message in self.stream(method, params)][-1]

    async def call(self, tool: str, **arguments: Any) -> Json:
        """Call a tool and give the whole answer."""
        return await self.ask("tools/call", {"name": tool, "arguments": arguments})

    async def text(self, tool: str, **arguments: Any) -> str:
        """Call a tool that answers one text."""
        return (await self.call(tool, **arguments))["result"]["content"][0]["text"]

    async def stream(
        self, method: str, params: Json | None = None, *, number: int | None = None
    ) -> AsyncGenerator[Json]:
        """Make a request and give every message on its stream, the answer last."""
        if number is None:
            self._next += 1
            number = self._next
        async with self._posted(method, params, number) as response:
            async for message in _messages(response):
                yield message

    async def notify(self, method: str, params: Json | None = None) -> None:
        """Send a notification."""
        async with self._posted(method, params, None):
            pass

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[AsyncGenerator[Json]]:
        """The stream of what the server says without being asked (handshake era)."""
        headers = {**self._headers("GET", None), "accept": "text/event-stream"}
        async with self._http.stream("GET", self._path, headers=headers) as response:
            assert response.status_code == 200
            yield _messages(response)

    async def leave(self) -> None:
        """End the session."""
        await self._http.delete(self._path, headers=self._headers("DELETE", None))

    @asynccontextmanager
    async def _posted(
        self, method: str, params: Json | None, number: int | None
    ) -> AsyncGenerator[httpx2.Response]:
        message: Json = {"jsonrpc": "2.0", "method": method}
        if number is not None:
            message["id"] = number
        if self.era == MODERN:
            envelope = {
                f"{_META}protocolVersion": MODERN,
                f"{_META}clientCapabilities": {},
                f"{_META}clientInfo": {"name": "wire", "version": "1"},
            }
            params = {**(params or {}), "_meta": {**envelope, **(params or {}).get("_meta", {})}}
        if params is not None:
            message["params"] = params
        headers = self._headers(method, params)
        async with self._http.stream("POST", self._path, headers=headers, json=message) as response:
            yield response

    def _headers(self, method: str, params: Json | None) -> dict[str, str]:
        headers = {"accept": "application/json, text/event-stream"}
        if self._session:
            headers |= {"mcp-session-id": self._session, "mcp-protocol-version": LEGACY}
        if self.era == MODERN:
            headers |= {"mcp-protocol-version": MODERN, "mcp-method": method}
            if method in _NAMED and params:
                headers["mcp-name"] = str(params[_NAMED[method]])
        return headers


async def _messages(response: httpx2.Response) -> AsyncGenerator[Json]:
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        async for line in response.aiter_lines():
            if line.startswith("data:") and line[5:].strip():
                yield json.loads(line[5:])
    else:
        body = await response.aread()
        if body:
            yield json.loads(body)
