"""ContextForge's JSON-RPC: what is sent, and what an answer means. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp.types import INVALID_PARAMS, CallToolResult, TextContent
from pydantic import ValidationError

from tool_router.catalog.model import Tool
from tool_router.errors import (
    GatewayError,
    GatewayProtocolError,
    GatewayRejected,
    ToolUnavailable,
    UpstreamFailed,
)
from tool_router.gateway.http_errors import one_line
from tool_router.gateway.json_value import as_object

METHOD_NOT_FOUND = -32601
"""ContextForge's answer for a tool that is unknown, disabled or offline: read its row to tell which."""

_UPSTREAM_ERROR = -32603
"""ContextForge's answer for whatever went wrong between it and the service; it says no more."""

_UPSTREAM_PREFIXES = ("MCP server error:", "Tool invocation failed", "Tool invocation timed out after")
"""How ContextForge begins the text of a result that it wrote itself because the service behind it failed."""

_ERROR_CODE_KEY = "io.contextforge/errorCode"

_NO_EXECUTE = "The token in GATEWAY_TOKEN or gateway.token lacks the permission tools.execute for this tool."


@dataclass(frozen=True, slots=True)
class RpcError:
    """The error member of a JSON-RPC answer."""

    code: int
    message: str


def call_request(request_id: str, tool: Tool, arguments: Mapping[str, Any]) -> bytes:
    """The body of a tools/call."""
    return _encode(
        {
            "jsonrpc": "2.0",
            "id": request_id,
            "method": "tools/call",
            "params": {"name": tool.call_name, "arguments": dict(arguments)},
        }
    )


def cancel_notice(request_id: str) -> bytes:
    """The body of the notification that a call's answer is no longer waited for."""
    params = {"requestId": request_id, "reason": "The caller no longer waits for it."}
    return _encode({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})


def read_answer(value: object, request_id: str, asked: str) -> CallToolResult | RpcError:
    """The result or the error in a decoded answer.

    Raises:
        GatewayProtocolError: it is no JSON-RPC answer to this request, or its result is no tool result.
    """
    answer = as_object(value)
    if answer is None:
        raise _malformed(asked, f"a {type(value).__name__}, not a JSON-RPC answer")
    error = as_object(answer.get("error"))
    if error is not None and answer.get("id") in (request_id, None):
        code = error.get("code")
        return RpcError(code if isinstance(code, int) else 0, one_line(str(error.get("message", ""))))
    if answer.get("id") != request_id:
        raise _malformed(asked, f"the answer to another request (id {one_line(repr(answer.get('id')))})")
    if "result" not in answer:
        raise _malformed(asked, "neither a result nor an error")
    try:
        return CallToolResult.model_validate(answer["result"])
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(str(part) for part in first["loc"][:4])
        raise _malformed(asked, f"no tool result ({where}: {first['msg']})") from invalid


def refuses_session(error: RpcError) -> bool:
    """Whether the call was refused, before anything was done, for naming a session the gateway did not give.

    With ``USE_STATEFUL_SESSIONS=true`` it takes only its own ids. The texts are those of release 1.0.7; a
    missing permission has the second code too, and another text.
    """
    return error.code in (-32002, -32003) and error.message.startswith("Session ")


def rpc_error(error: RpcError, tool: Tool) -> GatewayError:
    """What an error other than `METHOD_NOT_FOUND` means for the call of this tool."""
    said = f"{tool.id}: the gateway answered {error.code}, {error.message or 'without a message'}."
    match error.code:
        case _ if error.code == _UPSTREAM_ERROR:
            server = tool.server or "the service behind it"
            return UpstreamFailed(
                said, f"See whether {server} runs and answers; the gateway's log has its error."
            )
        case -32003:
            return GatewayRejected(403, said, _NO_EXECUTE)
        case -32600:
            return GatewayRejected(
                400, said, "Arguments over 256 KiB or nested more than about 30 deep are refused: send less."
            )
        case -32602 | -32700:
            return GatewayRejected(400, said, "Check the arguments against the tool's schema.")
        case -32800:
            return GatewayError(said, "Somebody else cancelled it at the gateway; call it again if needed.")
        case _:
            return UpstreamFailed(said, "The gateway's log has the cause.")


def verdict(result: CallToolResult, tool: Tool) -> GatewayError | None:
    """The failure that ContextForge reports in the shape of a tool's error; None for every tool's own result.

    Some of its releases and its MCP endpoint do so. Such a text did not come from the tool: it is an error of
    the call like any other, counted by the breakers and quoted. Texts are compared as strictly as can be,
    because a tool's own error (a file server's "Access denied - ...") must stay a result.
    """
    text = _sole_text(result)
    if not result.is_error or text is None or not _is_gateways(result):
        return None
    name = tool.call_name
    if text in (f"Tool not found: {name}", f"Unknown tool: {name}"):
        return ToolUnavailable(
            f"{tool.id} is not known to the gateway.",
            "Run `tool-router tools` to see what is.",
        )
    if text == f"Tool '{name}' exists but is inactive":
        return ToolUnavailable(f"{tool.id} is switched off in the gateway.", "Switch it on there.")
    if text.startswith(f"Tool '{name}' exists but is currently offline"):
        return ToolUnavailable(
            f"The gateway can't reach {tool.server or 'the service'} of {tool.id}.", "Start it there."
        )
    if text.startswith(f"Tool '{name}' is deprecated"):
        return ToolUnavailable(f"{tool.id} is marked as deprecated in the gateway.", "Use another tool.")
    if text == "Access denied":
        return GatewayRejected(403, f"{tool.id}: the gateway answered: Access denied.", _NO_EXECUTE)
    if text.startswith(_UPSTREAM_PREFIXES):
        server = tool.server or "the service behind it"
        return UpstreamFailed(
            f"{tool.id} failed behind the gateway: {one_line(text)}",
            f"See whether {server} runs and answers.",
        )
    return None


def upstream_failed(outcome: CallToolResult | RpcError, tool: Tool) -> bool:
    """Whether an answer says that something went wrong between the gateway and the service."""
    if isinstance(outcome, RpcError):
        return outcome.code == _UPSTREAM_ERROR
    return isinstance(verdict(outcome, tool), UpstreamFailed)


def _sole_text(result: CallToolResult) -> str | None:
    block = result.content[0] if len(result.content) == 1 else None
    return block.text.strip() if isinstance(block, TextContent) else None


def _is_gateways(result: CallToolResult) -> bool:
    """Whether a result may be one that ContextForge wrote: with no more than an HTTP status as its content.

    Release 1.1.0 names the JSON-RPC error that the service answered; that of arguments it refused is a
    result, like any tool's complaint about its arguments.
    """
    structured = result.structured_content
    if structured is not None and set(as_object(structured) or {"": None}) != {"status_code"}:
        return False
    told = as_object((result.meta or {}).get(_ERROR_CODE_KEY)) or {}
    return told.get("code") != INVALID_PARAMS


def _malformed(asked: str, what: str) -> GatewayProtocolError:
    return GatewayProtocolError(
        f"{asked} was answered with {what}.", "See whether gateway.url is ContextForge, and its log."
    )


def _encode(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
