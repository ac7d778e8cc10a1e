"""What ContextForge's JSON-RPC answers mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp.types import CallToolResult, TextContent

from tool_router.catalog.model import Tool
from tool_router.errors import (
    GatewayError,
    GatewayProtocolError,
    GatewayRejected,
    ToolUnavailable,
    UpstreamFailed,
)
from tool_router.gateway.contextforge_rpc import (
    RpcError,
    call_request,
    cancel_notice,
    read_answer,
    rpc_error,
    verdict,
)

TOOL = Tool(id="files::read", name="read", server="files", call_name="files-read")


def failed(text: str, **fields: Any) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True, **fields)


def test_a_call_names_the_tool_as_the_gateway_does() -> None:
    sent = json.loads(call_request("id-1", TOOL, {"path": "ä", "n": 1}))
    assert sent == {
        "jsonrpc": "2.0",
        "id": "id-1",
        "method": "tools/call",
        "params": {"name": "files-read", "arguments": {"path": "ä", "n": 1}},
    }


def test_a_cancellation_is_a_notification_that_names_the_request() -> None:
    sent = json.loads(cancel_notice("id-1"))
    assert "id" not in sent
    assert sent["params"]["requestId"] == "id-1"


def test_a_result_is_read_with_everything_in_it() -> None:
    result = {
        "content": [
            {"type": "text", "text": "a"},
            {"type": "image", "data": "AA==", "mimeType": "image/png"},
            {"type": "resource_link", "uri": "file:///a", "name": "a"},
        ],
        "structuredContent": {"deep": [1, {"x": None}]},
        "isError": True,
        "_meta": {"trace": "t"},
    }
    read = read_answer({"jsonrpc": "2.0", "id": "1", "result": result}, "1", "POST /rpc")
    assert isinstance(read, CallToolResult)
    assert read.model_dump(by_alias=True, exclude_unset=True, mode="json") == result


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ([], "a list, not a JSON-RPC answer"),
        ("text", "a str, not a JSON-RPC answer"),
        (None, "a NoneType"),
        ({}, "the answer to another request (id None)"),
        ({"id": "2", "result": {"content": []}}, "the answer to another request (id '2')"),
        ({"id": "2", "error": {"code": -32603, "message": "x"}}, "the answer to another request"),
        ({"id": "1"}, "neither a result nor an error"),
        ({"id": "1", "result": None}, "no tool result"),
        ({"id": "1", "result": {}}, "no tool result"),
        ({"id": "1", "result": {"content": "text"}}, "no tool result"),
        ({"id": "1", "result": {"content": [{"type": "hologram"}]}}, "no tool result"),
    ],
)
def test_what_is_no_answer_to_the_request_is_a_protocol_error(answer: object, what: str) -> None:
    with pytest.raises(GatewayProtocolError) as caught:
        read_answer(answer, "1", "POST /rpc")
    assert what in caught.value.tried
    assert caught.value.next_step


def test_an_error_may_come_without_an_id() -> None:
    answer = {"id": None, "error": {"code": -32700, "message": "Parse error"}}
    assert read_answer(answer, "1", "POST /rpc") == RpcError(-32700, "Parse error")


@pytest.mark.parametrize(
    ("code", "error", "counts"),
    [
        (-32603, UpstreamFailed, {"service", "tool"}),
        (-32000, UpstreamFailed, {"service", "tool"}),
        (-32003, GatewayRejected, set[str]()),
        (-32600, GatewayRejected, set[str]()),
        (-32602, GatewayRejected, set[str]()),
        (-32700, GatewayRejected, set[str]()),
        (-32800, GatewayError, set[str]()),
    ],
)
def test_an_error_counts_against_what_it_speaks_of_and_never_against_the_gateway(
    code: int, error: type[GatewayError], counts: set[str]
) -> None:
    found = rpc_error(RpcError(code, "why"), TOOL)
    assert type(found) is error
    assert found.counts_against == counts
    assert "files::read" in found.tried
    assert "why" in found.tried
    assert found.next_step


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("MCP server error: connection refused", UpstreamFailed),
        ("Tool invocation failed: ", UpstreamFailed),
        ("Tool invocation timed out after 60s", UpstreamFailed),
        ("Tool invocation failed: All connection attempts failed", UpstreamFailed),
        ("Tool not found: files-read", ToolUnavailable),
        ("Unknown tool: files-read", ToolUnavailable),
        ("Tool 'files-read' exists but is inactive", ToolUnavailable),
        (
            "Tool 'files-read' exists but is currently offline. Please verify if it is running.",
            ToolUnavailable,
        ),
        ("Tool 'files-read' is deprecated and cannot be executed.", ToolUnavailable),
        ("Access denied", GatewayRejected),
    ],
)
def test_a_failure_that_the_gateway_wrote_as_a_result_is_an_error(
    text: str, error: type[GatewayError]
) -> None:
    assert type(verdict(failed(text), TOOL)) is error


def test_a_status_beside_the_text_does_not_make_it_the_tools_own() -> None:
    status = failed("MCP server error: Bad Gateway", structured_content={"status_code": 502})
    refused = failed("MCP server error: x", meta={"io.contextforge/errorCode": {"code": -32000}})
    assert type(verdict(status, TOOL)) is UpstreamFailed
    assert type(verdict(refused, TOOL)) is UpstreamFailed


@pytest.mark.parametrize(
    "result",
    [
        failed("Access denied - path outside allowed directories: /etc"),
        failed("Tool not found: another"),
        failed("MCP error -32602: Input validation error"),
        failed("MCP server error: x", structured_content={"status_code": 502, "rows": []}),
        failed("MCP server error: bad argument", meta={"io.contextforge/errorCode": {"code": -32602}}),
        CallToolResult(content=[TextContent(type="text", text="MCP server error: x")]),
        CallToolResult(content=[], is_error=True),
        CallToolResult(content=[TextContent(type="text", text="MCP server error: x")] * 2, is_error=True),
    ],
)
def test_a_tools_own_error_stays_its_result(result: CallToolResult) -> None:
    assert verdict(result, TOOL) is None
