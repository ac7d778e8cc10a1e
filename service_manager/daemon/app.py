"""The daemon as an ASGI application: who may ask, the services' endpoints, and the control API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from service_manager.daemon.activity import Activity
from service_manager.daemon.control import Control, status_of
from service_manager.daemon.guard import Guard
from service_manager.daemon.routes import Answer, Asked, endpoint_name
from service_manager.daemon.wire import error_to_json
from service_manager.endpoint.endpoints import Endpoints
from service_manager.errors import ServiceManagerError


class DaemonApp:
    """Answers every request to the daemon.

    Args:
        guard: decides who may ask.
        endpoints: the services' MCP endpoints.
        control: the control API.
        activity: is told of every request.
    """

    def __init__(self, guard: Guard, endpoints: Endpoints, control: Control, activity: Activity) -> None:
        self._guard = guard
        self._endpoints = endpoints
        self._control = control
        self._activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI wants it."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        refusal = self._guard.refusal(path, headers)
        if refusal is not None:
            told = {"error": "DaemonError", "tried": refusal.tried, "next_step": refusal.next_step}
            await _send(send, Answer(told, refusal.status))
            return
        name = endpoint_name(path)
        with self._activity.request(stream=name is not None and _is_stream(scope["method"], headers)):
            try:
                if name is not None:
                    await self._endpoints.handle(name, scope, receive, send)
                else:
                    await _send(send, await self._controlled(scope, path))
            except ServiceManagerError as error:
                await _send(send, Answer(error_to_json(error), status_of(error)))

    async def _controlled(self, scope: Scope, path: str) -> Answer:
        method: str = scope["method"]
        route, names, methods = self._control.table.find(method, path)
        if route is None:
            if methods:
                return _refused(
                    HTTPStatus.METHOD_NOT_ALLOWED, f"{path} has no {method}.", f"Use {methods[0]}."
                )
            return _refused(HTTPStatus.NOT_FOUND, f"There is no {path}.", "See /openapi.json.")
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        return await route.handle(Asked(names, query))


def _is_stream(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether this stays open for what the service may say, in either protocol era."""
    return method == "GET" or headers.get(b"mcp-method") == b"subscriptions/listen"


def _refused(status: HTTPStatus, tried: str, next_step: str) -> Answer:
    return Answer({"error": "DaemonError", "tried": tried, "next_step": next_step}, status)


async def _send(send: Send, answer: Answer) -> None:
    body = answer.value.encode() if isinstance(answer.value, str) else _json(answer.value)
    headers: Mapping[str, str] = {
        "content-type": answer.content_type,
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    if answer.status is HTTPStatus.UNAUTHORIZED:
        raw.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": answer.status.value, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
