"""An honest ContextForge: the part of its REST and JSON-RPC that tool-router uses, as the real one behaves.

What it imitates was observed on release 1.0.7: pages of at most 500 rows, a cursor that starts again at the
first page when it is not understood, a bare list that stops at 50, disabled tools that are listed only on
request, one error code for unknown, disabled and offline tools, an upstream session for each session id and
service, which serves one call at a time and fails when its service was restarted.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.loopback import FaultyApp, Loopback, serve

TOKEN = "a-token-that-is-long-enough-to-look-like-one"
PAGE_LIMIT = 500

Row = dict[str, Any]


def row(name: str, server: str | None = "time", /, **fields: Any) -> Row:
    """A row of GET /tools as the real gateway gives it; `fields` override."""
    call_name = (f"{server}-{name}" if server else name).replace("_", "-")
    return {
        "id": f"id-{server}-{name}",
        "name": call_name,
        "originalName": name,
        "customName": name,
        "displayName": name.replace("_", " ").title(),
        "title": None,
        "description": f"Does {name}.",
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
        "annotations": {},
        "integrationType": "MCP" if server else "REST",
        "gatewayId": f"gateway-{server}" if server else None,
        "gatewaySlug": server,
        "url": "http://127.0.0.1:9/mcp" if server else "https://api.example.com/v1",
        "enabled": True,
        "reachable": True,
        "deprecated": False,
        "tags": [],
        "metrics": None,
        **fields,
    }


def catalog(count: int) -> list[Row]:
    """Many rows of a few servers."""
    return [row(f"tool_{number}", f"server{number % 7}") for number in range(count)]


@dataclass(eq=False)
class ContextForge:
    """The gateway's state, which a test changes while it runs.

    Attributes:
        rows: the catalog.
        versioned: whether it has /v1 paths; older releases do not.
        pages: whether it pages on request; a release that does not answers with a bare list.
        etags: whether listings carry an ETag.
        results: what a call of a tool answers, by call name: a result, or an error ``{"code", "message"}``.
            Others echo their arguments.
        slow: call names that are answered only when `release` is set or the call is cancelled.
        wrong_id: answer calls under another id.
        stateful: it takes only session ids of its own, of which it gives none here.
        restarts: how often each service was restarted, by its slug.
        upstream: its sessions, by id and slug; with how many restarts of the service each was opened after.
        started: set when a slow call has arrived.
        cancelled: ids of `notifications/cancelled`, in order; `was_cancelled` is set with the first.
    """

    rows: list[Row] = field(default_factory=lambda: [row("get_current_time"), row("echo", "everything")])
    versioned: bool = True
    pages: bool = True
    etags: bool = False
    stuck_cursor: str = ""
    health: str = "healthy"
    results: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    slow: set[str] = field(default_factory=set[str])
    wrong_id: bool = False
    stateful: bool = False
    restarts: dict[str, int] = field(default_factory=dict[str, int])
    upstream: dict[tuple[str, str], tuple[int, anyio.Lock]] = field(
        default_factory=dict[tuple[str, str], tuple[int, anyio.Lock]]
    )
    started: anyio.Event = field(default_factory=anyio.Event)
    release: anyio.Event = field(default_factory=anyio.Event)
    was_cancelled: anyio.Event = field(default_factory=anyio.Event)
    cancelled: list[Any] = field(default_factory=list[Any])
    faulty: FaultyApp = field(init=False)
    url: str = ""
    loopback: Loopback | None = None

    def __post_init__(self) -> None:
        tools = [
            Route(path + suffix, handler)
            for path in ("/v1/tools", "/tools")
            for suffix, handler in (("", self._list), ("/{row_id}", self._one))
        ]
        health = Route("/health", self._health)
        rpc = Route("/rpc", self._rpc, methods=["POST"])
        self.faulty = FaultyApp(Starlette(routes=[*tools, health, rpc]))

    async def _health(self, request: Request) -> Response:
        return _json({"status": self.health, "mcp_runtime": {"mode": "python"}})

    async def _list(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        query = request.query_params
        rows: Sequence[Row] = self.rows
        if query.get("include_inactive") != "true":
            rows = [entry for entry in rows if entry.get("enabled", True)]
        asked = int(query.get("limit", "50"))
        size = min(asked, PAGE_LIMIT) or len(rows)
        if query.get("include_pagination") != "true" or not self.pages:
            return _json(list(rows[: size if "limit" in query else 50]))
        start = _offset(query.get("cursor", ""))
        more = start + size < len(rows)
        cursor = self.stuck_cursor or (_cursor(start + size) if more else None)
        body = {"tools": list(rows[start : start + size]), "nextCursor": cursor}
        if not self.etags:
            return _json(body)
        etag = f'"{hash(json.dumps(body)):x}"'
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"etag": etag})
        return _json(body, headers={"etag": etag})

    async def _one(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        row_id = request.path_params["row_id"]
        found = next((entry for entry in self.rows if entry["id"] == row_id), None)
        if found is None:
            return _json({"detail": f"Tool not found: {row_id}"}, 404)
        return _json(found)

    async def _rpc(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        message = await request.json()
        if message["method"] == "notifications/cancelled":
            self.cancelled.append(message["params"]["requestId"])
            self.was_cancelled.set()
            return _json({"jsonrpc": "2.0", "result": {}, "id": None})
        request_id = message["id"]
        name = message["params"]["name"]
        session_id = request.headers.get("mcp-session-id", "")
        if self.stateful and session_id:
            error = {"code": -32002, "message": "Session not found", "data": {"method": "tools/call"}}
            return _json({"jsonrpc": "2.0", "error": error, "id": request_id})
        found = next((entry for entry in self.rows if entry.get("name") == name), None)
        if found is None or not found["enabled"] or not found["reachable"]:
            error = {"code": -32601, "message": f"Tool not found: {name}"}
            return _json({"jsonrpc": "2.0", "error": error, "id": request_id})
        if not session_id or found["gatewaySlug"] is None:
            return await self._invoke(message, request_id, name)
        slug = found["gatewaySlug"]
        restarts = self.restarts.get(slug, 0)
        opened_after, turn = self.upstream.setdefault((session_id, slug), (restarts, anyio.Lock()))
        if opened_after != restarts:
            error = {"code": -32603, "message": "Internal error"}
            return _json({"jsonrpc": "2.0", "error": error, "id": request_id})
        async with turn:
            return await self._invoke(message, request_id, name)

    async def _invoke(self, message: Mapping[str, Any], request_id: str, name: str) -> Response:
        if name in self.slow:
            self.started.set()
            with anyio.move_on_after(30):
                await _first_of(self.release, self.was_cancelled)
            if request_id in self.cancelled:
                error = {"code": -32800, "message": "Request cancelled"}
                return _json({"jsonrpc": "2.0", "error": error, "id": request_id})
        text = json.dumps(message["params"]["arguments"])
        outcome = self.results.get(
            name, {"content": [{"type": "text", "text": text}], "isError": False, "_meta": {"took": 1}}
        )
        member = "error" if "code" in outcome else "result"
        answered = f"not-{request_id}" if self.wrong_id else request_id
        return _json({"jsonrpc": "2.0", member: outcome, "id": answered})

    def _refusal(self, request: Request) -> Response | None:
        given = request.headers.get("authorization", "")
        if not self.versioned and request.url.path.startswith("/v1/"):
            return _json({"detail": "Not Found"}, 404)
        if not given:
            return _json({"detail": "Authorization token required"}, 401)
        if given != f"Bearer {TOKEN}":
            return _json({"detail": "Invalid authentication credentials"}, 401)
        return None


@asynccontextmanager
async def contextforge(**state: Any) -> AsyncGenerator[ContextForge]:
    """A running gateway; `state` are attributes of `ContextForge`."""
    fake = ContextForge(**state)
    async with serve(fake.faulty) as loopback:
        fake.url, fake.loopback = loopback.url, loopback
        yield fake


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON with every character escaped, so that broken ones can be sent too."""
    return Response(json.dumps(value), status, headers, media_type="application/json")


async def _first_of(*events: anyio.Event) -> None:
    async with anyio.create_task_group() as tasks:

        async def wait(event: anyio.Event) -> None:
            await event.wait()
            tasks.cancel_scope.cancel()

        for event in events:
            tasks.start_soon(wait, event)


def _cursor(offset: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"offset": offset}).encode()).decode()


def _offset(cursor: str) -> int:
    try:
        return int(json.loads(base64.urlsafe_b64decode(cursor))["offset"])
    except (ValueError, KeyError, TypeError):
        return 0
