"""What failed MCP requests mean, and how a cause finds the request it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from mcp import MCPError

from tool_router.errors import (
    GatewayError,
    GatewayFailed,
    GatewayProtocolError,
    GatewayRejected,
    GatewayTimeout,
    GatewayUnreachable,
    UpstreamFailed,
)
from tool_router.gateway.mcp_failure import Failures, answered_error, is_closed


def as_the_sdk_raises(answer: Mapping[str, Mapping[Any, Any]]) -> MCPError:
    error = answer["error"]
    return MCPError(code=int(str(error["code"])), message=str(error["message"]), data=error["data"])


def test_a_failure_comes_back_as_the_very_error_it_was() -> None:
    failures = Failures()
    first, second = GatewayUnreachable("first"), GatewayFailed("second")
    answers = [failures.answer(first), failures.answer(second)]
    assert failures.take(as_the_sdk_raises(answers[1])) is second
    assert failures.take(as_the_sdk_raises(answers[0])) is first


def test_a_failure_is_taken_once_and_can_not_be_guessed() -> None:
    failures = Failures()
    answer = failures.answer(GatewayFailed("once"))
    assert failures.take(as_the_sdk_raises(answer)) is not None
    assert failures.take(as_the_sdk_raises(answer)) is None
    forged = {"error": {**answer["error"], "data": {"tool-router/failure": "0"}}}
    assert failures.take(as_the_sdk_raises(forged)) is None


def test_failures_that_nobody_takes_do_not_pile_up() -> None:
    failures = Failures()
    oldest = failures.answer(GatewayFailed("oldest"))
    for _ in range(1000):
        failures.answer(GatewayFailed("of a notification"))
    assert failures.take(as_the_sdk_raises(oldest)) is None


@pytest.mark.parametrize(
    ("code", "message", "error"),
    [
        (-32000, "Connection closed", GatewayFailed),
        (-32000, "SSE stream ended without a response", GatewayFailed),
        (-32000, "out of disk", UpstreamFailed),
        (-32001, "timed out", GatewayTimeout),
        (-32700, "Failed to parse JSON response", GatewayProtocolError),
        (-32602, "Unknown tool: x", GatewayRejected),
        (-32601, "Method not found", GatewayRejected),
        (-32600, "Redirect not followed", GatewayRejected),
        (-32603, "Internal error", UpstreamFailed),
        (-32042, "URL elicitation required", UpstreamFailed),
    ],
)
def test_an_answered_error_is_told_apart_by_its_code(
    code: int, message: str, error: type[GatewayError]
) -> None:
    found = answered_error(MCPError(code=code, message=message), "http://far/mcp")
    assert type(found) is error
    assert "http://far/mcp" in found.tried
    assert found.next_step


def test_only_the_sdks_own_words_mean_that_the_connection_ended() -> None:
    assert is_closed(MCPError(code=-32000, message="Connection closed"))
    assert not is_closed(MCPError(code=-32000, message="Bad Request: No valid session ID provided"))
    assert not is_closed(MCPError(code=-32603, message="Connection closed"))
