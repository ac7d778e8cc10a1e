"""The routes of the control API: one table that both answers requests and describes itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

PREFIX = "/services/"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that reached its route.

    Attributes:
        names: what the braces of the route's path stand for.
        query: its query, one value for each name.
    """

    names: Mapping[str, str]
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers: JSON, or text of another type."""

    value: Any
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number in the query."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked.

    Attributes:
        path: with braces for what varies, e.g. ``/services/{name}``.
        operation: its name for generated clients.
        summary: one sentence.
        schema: of its answer, by name (see `schemas.components`); empty for text.
        handle: answers it.
        fails: the other statuses it may answer.
    """

    method: str
    path: str
    operation: str
    summary: str
    schema: str
    handle: Callable[[Asked], Awaitable[Answer]] = field(repr=False)
    fails: tuple[HTTPStatus, ...] = ()
    parameters: tuple[Parameter, ...] = ()


class Table:
    """Finds the route of a request.

    Args:
        routes: all of them.
    """

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.routes = routes
        self._split = tuple((route, route.path.split("/")) for route in routes)

    def find(self, method: str, path: str) -> tuple[Route | None, dict[str, str], list[str]]:
        """The route of a request, the names in its path, and the other methods the path has."""
        asked = path.split("/")
        allowed: list[str] = []
        for route, parts in self._split:
            names = _match(parts, asked)
            if names is None:
                continue
            if route.method == method:
                return route, names, []
            allowed.append(route.method)
        return None, {}, allowed


def endpoint_name(path: str) -> str | None:
    """The service whose MCP endpoint this path is; None when it is something else."""
    if not path.startswith(PREFIX) or not path.endswith("/mcp"):
        return None
    name = path[len(PREFIX) : -len("/mcp")]
    return name if name and "/" not in name else None


def endpoint_path(name: str) -> str:
    """The path of a service's MCP endpoint; names need no quoting (see `config`)."""
    return f"{PREFIX}{name}/mcp"


def _match(parts: list[str], asked: list[str]) -> dict[str, str] | None:
    if len(parts) != len(asked):
        return None
    names: dict[str, str] = {}
    for part, given in zip(parts, asked, strict=True):
        if part.startswith("{"):
            if not given:
                return None
            names[part.strip("{}")] = given
        elif part != given:
            return None
    return names
