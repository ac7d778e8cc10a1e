"""How one request is spoken to a service's endpoint of the daemon: protocol 2026-07-28, without a session.

Each request is one POST that says everything about itself; the answer is JSON, or a stream of events that
ends with it. Headers and ``_meta`` keys are those of the protocol's Streamable HTTP transport.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from mcp import MCPError
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp.types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    INTERNAL_ERROR,
    PROTOCOL_VERSION_META_KEY,
)

from service_manager.daemon.wire import error_from_json
from service_manager.errors import DaemonError, ServiceManagerError
from tool_router.gateway.json_value import as_object, decode

VERSION = "2026-07-28"
"""The protocol version that has no sessions."""

Json = dict[str, Any]

_ENVELOPE: Mapping[str, Any] = {
    PROTOCOL_VERSION_META_KEY: VERSION,
    CLIENT_CAPABILITIES_META_KEY: {},
    CLIENT_INFO_META_KEY: {"name": "tool-router", "version": "0.1"},
}


def request(number: int, method: str, params: Mapping[str, Any], *, progress: bool = False) -> bytes:
    """A request as it is posted.

    Args:
        number: its id, and what its progress is told under.
        method: as on the wire.
        params: as on the wire, without ``_meta``.
        progress: whether progress is wanted; the answer is a stream only if there is any.
    """
    meta = {**_ENVELOPE, "progressToken": number} if progress else _ENVELOPE
    body = {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": meta}}
    return json.dumps(body, separators=(",", ":")).encode()


def headers(method: str, params: Mapping[str, Any], schema: object = None) -> dict[str, str]:
    """The headers a request is posted with.

    Args:
        method: as on the wire.
        params: as on the wire.
        schema: the input schema of the tool that is called; it may want arguments to be headers too.
    """
    found = {
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        MCP_PROTOCOL_VERSION_HEADER: VERSION,
        MCP_METHOD_HEADER: method,
    }
    key = NAME_BEARING_METHODS.get(method)
    if key is not None and isinstance(name := params.get(key), str):
        found[MCP_NAME_HEADER] = encode_header_value(name)
    if method == "tools/call" and as_object(schema) is not None:
        found |= mcp_param_headers(x_mcp_header_map(schema), params.get("arguments") or {})
    return found


def result(content: bytes, status: int) -> Json:
    """The result that an answer holds.

    Args:
        content: one JSON-RPC answer, or an error of the daemon itself.
        status: the HTTP status it came with, for messages.

    Raises:
        ServiceManagerError: the daemon could not have the service answer; a DaemonError means that it
            refused the request.
        MCPError: the service answered with an error, or nobody with anything that can be understood.
    """
    message = message_of(content)
    if message is None:
        raise MCPError(INTERNAL_ERROR, f"The daemon answered with status {status} and no JSON object.")
    error = message.get("error")
    if isinstance(error, str):
        raise error_from_json(message)
    told = as_object(error)
    if told is not None:
        raise _error(told)
    answer = message.get("result")
    if not isinstance(answer, dict):
        raise MCPError(INTERNAL_ERROR, f"The daemon answered with status {status} and no result.")
    found: Json = answer  # pyright: ignore[reportUnknownVariableType]  # JSON
    return found


def message_of(content: bytes) -> Json | None:
    """The JSON object that was sent; None when it is none."""
    try:
        value: Any = decode(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType]  # JSON


async def events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The data of each event of a stream, as it comes.

    Only line feeds end lines, with or without a carriage return: the daemon writes no others.
    """
    begun: list[bytes] = []
    data: list[bytes] = []
    async for chunk in chunks:
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            whole = b"".join((*begun, line)).rstrip(b"\r")
            begun.clear()
            if whole.startswith(b"data:"):
                data.append(whole[5:].removeprefix(b" "))
            elif not whole and data:
                yield b"\n".join(data)
                data.clear()
        begun.append(rest)


def _error(told: Mapping[str, Any]) -> ServiceManagerError | MCPError:
    """What a JSON-RPC error stands for: the daemon puts its own errors into ``data``."""
    data = as_object(told.get("data"))
    if data is not None and isinstance(data.get("error"), str):
        found = error_from_json(data)
        # A kind this version does not know says nothing of whether the tool ran.
        if not isinstance(found, DaemonError):
            return found
    code = told.get("code")
    said = str(told.get("message", ""))
    return MCPError(code if isinstance(code, int) else INTERNAL_ERROR, said, told.get("data"))
