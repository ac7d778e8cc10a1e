"""What a bad HTTP answer, or none, means: the error it becomes and what the reader can do. Pure.

Two clients end here: that of ContextForge's REST and JSON-RPC, and the one inside the MCP SDK. What httpx2
raises in either is first named (`Trouble`), then explained.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any

from tool_router.errors import (
    GatewayBusy,
    GatewayError,
    GatewayFailed,
    GatewayProtocolError,
    GatewayRejected,
    GatewayTimeout,
    GatewayUnreachable,
)
from tool_router.gateway.json_value import as_object

DEFAULT_RETRY_AFTER_S = 60.0
"""Rest after a 429 that does not say how long; ContextForge's own window is a minute."""

MAX_RETRY_AFTER_S = 24 * 3600.0
"""A longer `Retry-After` is a mistake (milliseconds, another year's date) and must not lose the gateway."""

_SHOWN_CHARS = 200
_SAMPLE_CHARS = 60


class Trouble(Enum):
    """How an HTTP exchange failed before a whole answer was there."""

    NOT_CONNECTED = auto()
    """Refused, no route, unknown host, TLS refused: nothing was sent."""
    CONNECT_TIMEOUT = auto()
    """No connection within the limit: nothing was sent."""
    NO_CONNECTION_FREE = auto()
    """Every pooled connection stayed busy: nothing was sent."""
    READ_TIMEOUT = auto()
    """Sent, and silent for longer than the limit."""
    BROKEN_OFF = auto()
    """Sent, at least in part, and the connection ended."""
    UNREADABLE = auto()
    """An answer that is not HTTP, or not in the encoding it names."""


TROUBLES: Mapping[str, Trouble] = {
    "ConnectError": Trouble.NOT_CONNECTED,
    "ProxyError": Trouble.NOT_CONNECTED,
    "UnsupportedProtocol": Trouble.NOT_CONNECTED,
    "ConnectTimeout": Trouble.CONNECT_TIMEOUT,
    "PoolTimeout": Trouble.NO_CONNECTION_FREE,
    "ReadTimeout": Trouble.READ_TIMEOUT,
    "WriteTimeout": Trouble.READ_TIMEOUT,
    "DecodingError": Trouble.UNREADABLE,
}
"""By the name of httpx2's exception class; anything else broke off."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of whom, for messages.

    Attributes:
        what: the request in words, e.g. ``GET http://127.0.0.1:4444/v1/tools``; holds no secret.
        has_token: whether a token was sent.
        setting: where the address is configured.
    """

    what: str
    has_token: bool
    setting: str = "gateway.url"


def trouble_error(name: str, reason: str, asked: Asked, limit_s: float | None = None) -> GatewayError:
    """The error of an exchange that ended in an exception.

    Args:
        name: the exception's class name.
        reason: its text; may be empty.
        asked: the request.
        limit_s: the limit that passed, in seconds, where one did.
    """
    because = f": {one_line(reason)}" if reason else ""
    within = f" within {limit_s:g} s" if limit_s else ""
    match TROUBLES.get(name, Trouble.BROKEN_OFF):
        case Trouble.NOT_CONNECTED:
            return GatewayUnreachable(
                f"{asked.what} could not connect{because}.",
                f"See whether the gateway runs there and whether {asked.setting} is right.",
            )
        case Trouble.CONNECT_TIMEOUT:
            return GatewayUnreachable(
                f"{asked.what} got no connection{within}.",
                f"See whether {asked.setting} is right and no firewall is in between.",
            )
        case Trouble.NO_CONNECTION_FREE:
            late = GatewayTimeout(
                f"{asked.what} found no free connection{within}.", "Send fewer calls at once."
            )
            late.reached_tool = False
            # The calls that hold the connections say for themselves how the gateway fares.
            late.counts_against = frozenset()
            return late
        case Trouble.READ_TIMEOUT:
            return GatewayTimeout(
                f"{asked.what} got no answer{within}.", "See whether the gateway is overloaded or frozen."
            )
        case Trouble.UNREADABLE:
            return GatewayProtocolError(
                f"{asked.what} got an answer that can't be read{because}.",
                f"See whether a proxy in between changes it, and whether {asked.setting} is right.",
            )
        case Trouble.BROKEN_OFF:
            return GatewayFailed(
                f"{asked.what}: the connection broke off{because}.", "See the gateway's log for why."
            )


def status_error(
    status: int, headers: Mapping[str, str], body: bytes, asked: Asked, now: datetime | None = None
) -> GatewayError:
    """The error of an answer whose status is not a success.

    Args:
        status: anything but 2xx.
        headers: with case-insensitive or lower-case names.
        body: as much of it as was read.
        asked: the request.
        now: for a `Retry-After` that is a date; the real time by default.
    """
    said = body_says(body)
    tried = f"{asked.what} was answered {status}" + (f": {said}" if said else ".")
    if not tried.endswith((".", "!", "?")):
        tried += "."
    if status == 429:
        wait_s = retry_after_s(headers.get("retry-after"), now or datetime.now(UTC))
        return GatewayBusy(
            wait_s,
            tried,
            f"Nothing is sent for {wait_s:.0f} s; asking earlier can lock this address out.",
        )
    if status >= 500:
        return GatewayFailed(tried, "See the gateway's log for why.")
    if 300 <= status < 400:
        where = one_line(headers.get("location", "")) or "another address"
        return GatewayRejected(
            status, tried, f"It redirects to {where}; set {asked.setting} to the real address."
        )
    return GatewayRejected(status, tried, _rejected_step(status, asked))


def _rejected_step(status: int, asked: Asked) -> str:
    match status:
        case 401 if asked.has_token:
            return "The token is wrong or has expired: put a new one into GATEWAY_TOKEN or gateway.token."
        case 401:
            return "No token was sent: put one into GATEWAY_TOKEN or gateway.token."
        case 403 if asked.has_token:
            return (
                "The token in GATEWAY_TOKEN or gateway.token lacks a permission: "
                "listing needs tools.read, calling needs tools.execute."
            )
        case 403:
            return "A token is needed: put one into GATEWAY_TOKEN or gateway.token."
        case 404 | 405:
            return f"There is no such path: see whether {asked.setting} names the gateway itself."
        case 413:
            return "The arguments are larger than the gateway takes: send less."
        case _:
            return f"See the gateway's log for why, and whether {asked.setting} is right."


def retry_after_s(value: str | None, now: datetime) -> float:
    """Seconds a `Retry-After` header asks for: a number, or a date (RFC 9110, 10.2.3).

    A missing, unreadable or past value means the default; fractions are rounded up.
    """
    text = (value or "").strip()
    try:
        wait_s = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return DEFAULT_RETRY_AFTER_S
        wait_s = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    if not math.isfinite(wait_s) or wait_s <= 0:
        return DEFAULT_RETRY_AFTER_S
    return min(float(math.ceil(wait_s)), MAX_RETRY_AFTER_S)


def not_json(body: bytes, content_type: str, asked: Asked) -> GatewayProtocolError:
    """The error of a success whose body is not the JSON it should be."""
    if looks_like_html(body, content_type):
        return GatewayProtocolError(
            f"{asked.what} was answered with an HTML page ({body_says(body) or 'without a text'}).",
            f"Another program listens there, or a login page is in between: check {asked.setting}.",
        )
    if not body.strip():
        return GatewayProtocolError(
            f"{asked.what} was answered with nothing.", f"Check {asked.setting} and the gateway's log."
        )
    return GatewayProtocolError(
        f"{asked.what} was answered with {len(body)} bytes that are no JSON ({_sample(body)}).",
        f"The answer was cut off, or another program listens there: check {asked.setting}.",
    )


def looks_like_html(body: bytes, content_type: str = "") -> bool:
    """Whether an answer is a page for people."""
    return "html" in content_type.lower() or body.lstrip()[:1] == b"<"


def body_says(body: bytes) -> str:
    """What an error's body says: its ``detail``, its error's message, an HTML page's title, or its text."""
    text = body[:65536].decode(errors="replace").strip()
    if looks_like_html(body):
        lower = text.lower()
        start = lower.find("<title>")
        end = lower.find("</title>", start)
        return one_line(text[start + len("<title>") : end]) if 0 <= start < end else ""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return one_line(text)
    return one_line(_message_in(value) or (text if value else ""))


def _sample(body: bytes) -> str:
    """The beginning of a body as a message can hold it: text, or that it is none."""
    text = body[:4096].decode(errors="replace")
    strange = sum(not (char.isprintable() or char.isspace()) or char == "\ufffd" for char in text)
    if strange * 10 > len(text):
        return "binary"
    line = one_line(text)
    return line if len(line) <= _SAMPLE_CHARS else f"{line[: _SAMPLE_CHARS - 1]}…"


def _message_in(value: object, depth: int = 3) -> str:
    if isinstance(value, str):
        return value
    fields = as_object(value)
    if fields is None or depth == 0:
        return ""
    found = (_message_in(fields.get(name), depth - 1) for name in ("detail", "message", "error"))
    return next(filter(None, found), "")


def one_line(text: str) -> str:
    """The text on one line, without control characters, cut to a length that a message can hold."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[:2000]).split())
    return line if len(line) <= _SHOWN_CHARS else f"{line[: _SHOWN_CHARS - 1]}…"
