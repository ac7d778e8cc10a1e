"""The OpenAPI 3.1 document of the control API, written from its routes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from service_manager.daemon.guard import OPEN_PATHS
from service_manager.daemon.routes import Route
from service_manager.daemon.schemas import components, ref

_TEXT = {"text/plain": {"schema": {"type": "string"}}}


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document.

    Args:
        routes: what can be asked.
        version: of this package.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "service-manager",
            "version": version,
            "description": "Services that run, sleep and wake. Each one's MCP endpoint is at "
            "`/services/{name}/mcp` (Streamable HTTP), which MCP describes.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": _answer(HTTPStatus.OK, route.schema)}
    fails = route.fails if route.path in OPEN_PATHS else (*route.fails, HTTPStatus.UNAUTHORIZED)
    for status in fails:
        # `ready` says no in its own words.
        answers[str(status.value)] = _answer(status, route.schema if route.path in OPEN_PATHS else "Error")
    parameters = [
        {"name": part.strip("{}"), "in": "path", "required": True, "schema": {"type": "string"}}
        for part in route.path.split("/")
        if part.startswith("{")
    ]
    parameters += [
        {
            "name": parameter.name,
            "in": "query",
            "description": parameter.description,
            "schema": {"type": "integer", "minimum": 0},
        }
        for parameter in route.parameters
    ]
    operation: dict[str, Any] = {"operationId": route.operation, "summary": route.summary}
    if parameters:
        operation["parameters"] = parameters
    if route.path in OPEN_PATHS:
        operation["security"] = []
    return {**operation, "responses": answers}


def _answer(status: HTTPStatus, schema: str) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": ref(schema)}} if schema else _TEXT
    if schema == "OpenAPI":
        content = {"application/json": {"schema": {"type": "object"}}}
    return {"description": status.phrase, "content": content}
