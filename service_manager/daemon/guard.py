"""Who may ask: the token over TCP, and no web page whose name was pointed at this machine (DNS rebinding).

A browser sends the name it was told as ``Host``, and the page's own as ``Origin``; neither is this machine's.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

OPEN_PATHS = frozenset({"/health", "/ready"})
"""Answered without a token: they tell a supervisor that it lives, and nothing else."""

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered."""

    status: HTTPStatus
    tried: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides who may ask.

    Attributes:
        token: what has to be shown.
        token_needed: whether a request without one is refused; a unix socket is protected by its mode.
        any_host: whether names other than this machine's own are right, because others may reach it.
    """

    token: str = field(repr=False)
    token_needed: bool = True
    any_host: bool = False

    def refusal(self, path: str, headers: Mapping[bytes, bytes]) -> Refusal | None:
        """Why this request is refused; None when it is not.

        Args:
            path: what it asks for.
            headers: as ASGI gives them, names in lower case.
        """
        host = headers.get(b"host", b"").decode("latin-1")
        if not self.any_host and _name(f"//{host}") not in _LOCAL:
            return Refusal(HTTPStatus.MISDIRECTED_REQUEST, f"The host {host!r} is not this daemon.")
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and _name(origin) not in _LOCAL and not self._same(origin, host):
            return Refusal(HTTPStatus.FORBIDDEN, f"Pages of {origin!r} may not ask this daemon.")
        shown = headers.get(b"authorization", b"")
        if not shown:
            if not self.token_needed or path in OPEN_PATHS:
                return None
            return Refusal(
                HTTPStatus.UNAUTHORIZED,
                "No token was shown.",
                "Send `Authorization: Bearer TOKEN`; the token is in the file beside the daemon's address.",
            )
        scheme, _, token = shown.partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self.token.encode()):
            return Refusal(HTTPStatus.UNAUTHORIZED, "That is not the token.", "It is in the daemon's file.")
        return None

    def _same(self, origin: str, host: str) -> bool:
        return self.any_host and urlsplit(origin).netloc == host


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
