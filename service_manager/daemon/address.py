"""How a running daemon is reached: what it writes down for its clients, and the HTTP client for it."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from service_manager.daemon.place import Place

CONNECT_S = 5.0
"""A daemon on this machine that does not accept within this time is not there."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a daemon is.

    Attributes:
        url: its root, without a slash at the end; its host means nothing where there is a socket.
        socket: its unix socket; empty for TCP.
        token: what it wants to see over TCP.
        pid: its process.
        instance: a random name of this run of it.
    """

    url: str
    socket: str = ""
    token: str = field(default="", repr=False)
    pid: int = 0
    instance: str = ""

    def endpoint(self, name: str) -> str:
        """The MCP endpoint of a service."""
        return f"{self.url}/services/{name}/mcp"

    def http(self, timeout: httpx2.Timeout | None = None) -> httpx2.AsyncClient:
        """A new HTTP client that reaches it, also for an MCP client's transport; the caller closes it.

        Args:
            timeout: without one, an answer is waited for as long as it takes.
        """
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
        # Never TLS: reading the machine's certificates would take longer than what is asked.
        transport = httpx2.AsyncHTTPTransport(
            verify=False, uds=self.socket or None, limits=limits, trust_env=False
        )
        return httpx2.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            transport=transport,
            timeout=timeout or httpx2.Timeout(None, connect=CONNECT_S),
            trust_env=False,
        )


def write_address(place: Place, address: Address) -> None:
    """Tell clients where the daemon listens. The token has a file of its own."""
    known = {"url": address.url, "socket": address.socket, "pid": address.pid, "instance": address.instance}
    write_private(place.address, json.dumps(known))


def read_address(place: Place) -> Address | None:
    """What the last daemon wrote down, whether or not it still runs; None where there is nothing."""
    try:
        known: Any = json.loads(place.address.read_text(encoding="utf-8"))
        return Address(
            url=str(known["url"]),
            socket=str(known["socket"]),
            token=place.token.read_text(encoding="ascii").strip(),
            pid=int(known["pid"]),
            instance=str(known["instance"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def make_token(place: Place) -> str:
    """The token of this place; made by the first daemon."""
    try:
        token = place.token.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token or place.token.stat().st_mode & 0o077:
        token = secrets.token_urlsafe(32)
        write_private(place.token, token)
    return token


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole by one that only its user can read."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)
