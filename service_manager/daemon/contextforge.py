"""Registers services' endpoints at a ContextForge, so that its clients reach them, asleep or not.

What was registered here is known by its description, which also tells the token apart: ContextForge does not
show the one it was given. Everything else at the gateway is left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2

from service_manager.daemon.address import CONNECT_S, Address
from service_manager.errors import DaemonError

REQUEST_S = 90.0
"""ContextForge answers a registration once it has asked the endpoint for its tools."""

MARK = "Kept by service-manager"
TAG = "service-manager"

Row = Mapping[str, Any]


class Done(StrEnum):
    """What became of one registration."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Registration:
    """One service at the gateway.

    Attributes:
        name: the gateway's name for it.
        reason: why it failed, and what to do; empty otherwise.
    """

    name: str
    done: Done
    reason: str = ""


async def register(
    url: str, token: str, daemon: Address, names: Sequence[str], *, prefix: str = "", prune: bool = False
) -> tuple[Registration, ...]:
    """Register each service's endpoint, or correct what is registered of it.

    Args:
        url: the root address of ContextForge.
        token: an administrator's there.
        daemon: where the endpoints are; ContextForge must reach it, so it can't be a unix socket.
        names: the services.
        prefix: put before each service's name at the gateway.
        prune: remove what was registered here, with this prefix, for services that are not among `names`.

    Returns:
        What was done, in the order of `names`, and then what was removed.

    Raises:
        DaemonError: the daemon listens on a unix socket, there is no ContextForge, or it refuses the token.
    """
    if daemon.socket:
        raise DaemonError(
            "The daemon listens on a unix socket, which ContextForge can't reach.",
            "Start it with `service-manager serve --port PORT`.",
        )
    headers = {"Authorization": f"Bearer {token}"}
    limit = httpx2.Timeout(REQUEST_S, connect=CONNECT_S)
    async with httpx2.AsyncClient(base_url=url.rstrip("/"), headers=headers, timeout=limit) as http:
        gateway = _Gateway(http, url)
        rows = {str(row.get("name")): row for row in await gateway.rows()}
        wanted = {prefix + name: _body(prefix + name, daemon, name) for name in names}
        done = [await gateway.put(body, rows.get(name)) for name, body in wanted.items()]
        gone = [
            row
            for name, row in rows.items()
            if prune and name.startswith(prefix) and name not in wanted and _is_ours(row)
        ]
        return (*done, *[await gateway.remove(row) for row in gone])


def _body(shown: str, daemon: Address, name: str) -> dict[str, Any]:
    key = hashlib.sha256(daemon.token.encode()).hexdigest()[:8]
    return {
        "name": shown,
        "url": daemon.endpoint(name),
        "transport": "STREAMABLEHTTP",
        "description": f"{MARK} (key {key}).",
        "tags": [TAG],
        "auth_type": "bearer",
        "auth_token": daemon.token,
    }


class _Gateway:
    """The few requests that are needed; errors of one registration are its own."""

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._path = "/v1/gateways"

    async def rows(self) -> list[Row]:
        """Every gateway that is registered, switched off or not."""
        query = {"limit": "0", "include_inactive": "true"}
        answer = await self._ask("GET", self._path, query=query)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            # Releases before the paths had versions.
            self._path = "/gateways"
            answer = await self._ask("GET", self._path, query=query)
        if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise DaemonError(
                f"ContextForge at {self._url} refuses the token: {_said(answer)}.",
                "Give an administrator's token, or one with gateways.read and gateways.create.",
            )
        value = _json(answer)
        if answer.is_error or not isinstance(value, list):
            raise DaemonError(
                f"{self._url} is no ContextForge: it answered {answer.status_code} to {self._path}.",
                "Give the root address of the gateway.",
            )
        return cast("list[Row]", value)

    async def put(self, body: Mapping[str, Any], row: Row | None) -> Registration:
        """Add or correct one registration."""
        name = str(body["name"])
        if row is None:
            return _outcome(name, Done.ADDED, await self._ask("POST", self._path, body=body))
        if not _is_ours(row):
            return Registration(
                name, Done.FAILED, "Another server has this name there. Give a prefix, or remove that one."
            )
        if _same_place(row.get("url"), body["url"]) and row.get("description") == body["description"]:
            return Registration(name, Done.UNCHANGED)
        path = f"{self._path}/{row.get('id')}"
        return _outcome(name, Done.UPDATED, await self._ask("PUT", path, body=body))

    async def remove(self, row: Row) -> Registration:
        """Remove one registration."""
        answer = await self._ask("DELETE", f"{self._path}/{row.get('id')}")
        return _outcome(str(row.get("name")), Done.REMOVED, answer)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        try:
            return await self._http.request(method, path, json=body, params=query)
        except httpx2.HTTPError as error:
            raise DaemonError(
                f"ContextForge at {self._url} can't be reached: {error or type(error).__name__}.",
                "Is it running, and is this its root address?",
            ) from error


def _outcome(name: str, done: Done, answer: httpx2.Response) -> Registration:
    if not answer.is_error:
        return Registration(name, done)
    hint = ""
    if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        hint = " For a daemon on its own machine ContextForge needs SSRF_ALLOW_LOCALHOST=true."
    return Registration(name, Done.FAILED, f"ContextForge says {answer.status_code}: {_said(answer)}.{hint}")


def _is_ours(row: Row) -> bool:
    return str(row.get("description") or "").startswith(MARK)


def _same_place(one: Any, other: Any) -> bool:
    """Whether two addresses are one; ContextForge writes 127.0.0.1 as localhost."""
    return _place(str(one)) == _place(str(other))


def _place(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    host = parts.netloc.replace("127.0.0.1", "localhost")
    return parts.scheme, host, parts.path.rstrip("/")


def _said(answer: httpx2.Response) -> str:
    value = _json(answer)
    if isinstance(value, Mapping):
        told = cast("Mapping[str, Any]", value)
        value = told.get("message") or told.get("detail")
    return str(value or answer.reason_phrase)[:300].rstrip(".")


def _json(answer: httpx2.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
