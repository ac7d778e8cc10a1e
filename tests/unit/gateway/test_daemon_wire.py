"""What is posted to a service's endpoint, and what its answers mean, whatever they are."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from mcp import MCPError
from mcp.types import INTERNAL_ERROR

from service_manager.daemon.wire import error_to_json
from service_manager.errors import DaemonError, LimitReached, ServiceCrashed, ServiceManagerError
from tool_router.gateway.daemon_wire import events, headers, request, result

pytestmark = pytest.mark.anyio


async def in_pieces(text: bytes, size: int) -> AsyncGenerator[bytes]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
async def test_events_are_put_together_from_any_pieces(size: int, end: bytes) -> None:
    lines = [
        b": ping",
        b"",
        b"event: message",
        b'data: {"a": 1}',
        b"",
        b"data:x",
        b"data: y",
        b"",
        b"data: cut",
    ]
    found = [event async for event in events(in_pieces(end.join(lines), size))]
    assert found == [b'{"a": 1}', b"x\ny"]


def test_a_request_says_everything_about_itself() -> None:
    params = {"name": "grüß", "arguments": {"deep": {"region": "Zürich"}, "n": 7}}
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "x-mcp-header": "N"},
            "deep": {
                "type": "object",
                "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
            },
        },
    }
    sent = headers("tools/call", params, schema)
    assert (sent["mcp-protocol-version"], sent["mcp-method"]) == ("2026-07-28", "tools/call")
    assert {name.lower(): value for name, value in sent.items()}["mcp-param-n"] == "7"
    assert all(value.isascii() for value in sent.values())
    body = json.loads(request(5, "tools/call", params, progress=True))
    assert (body["id"], body["params"]["_meta"]["progressToken"]) == (5, 5)
    assert {key: body["params"][key] for key in params} == params
    assert "progressToken" not in json.loads(request(6, "tools/list", {}))["params"]["_meta"]


def answer(**told: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, **told}).encode()


def failure(data: Any, code: Any = -32050) -> bytes:
    return answer(error={"code": code, "message": "no", "data": data})


@pytest.mark.parametrize("kind", [ServiceCrashed, LimitReached])
def test_an_error_of_the_daemon_is_raised_as_what_it_was(kind: type[ServiceManagerError]) -> None:
    told = error_to_json(kind("tried", "next"))
    for content in (failure(told), json.dumps(told).encode()):
        with pytest.raises(kind, match="tried next"):
            result(content, 500)


def test_only_what_the_daemon_itself_refused_counts_as_not_sent() -> None:
    with pytest.raises(DaemonError, match="No token"):
        result(json.dumps({"error": "DaemonError", "tried": "No token", "next_step": ""}).encode(), 401)
    # The tool may have run before an error of a kind that is not known.
    with pytest.raises(MCPError, match="no"):
        result(failure({"error": "Newfangled", "tried": "x", "next_step": ""}), 200)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", INTERNAL_ERROR),
        (b"<html>", INTERNAL_ERROR),
        (b"[]", INTERNAL_ERROR),
        (b"[" * 100_000, INTERNAL_ERROR),
        (answer(), INTERNAL_ERROR),
        (answer(result=[]), INTERNAL_ERROR),
        (failure(None), -32050),
        (failure({"error": 7}), -32050),
        (failure([1], code="x"), INTERNAL_ERROR),
    ],
)
def test_what_can_not_be_understood_is_an_error_that_is_told(content: bytes, code: int) -> None:
    with pytest.raises(MCPError) as raised:
        result(content, 500)
    assert raised.value.code == code


def test_a_result_is_given_as_it_came() -> None:
    told: dict[str, Any] = {"content": [], "xOdd": {"deep": None}}
    assert result(answer(result=told), 200) == told
