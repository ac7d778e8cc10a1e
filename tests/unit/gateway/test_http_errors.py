"""What bad HTTP answers become, and that each error says what to do."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import httpx2
import pytest

from tool_router.errors import (
    GatewayBusy,
    GatewayError,
    GatewayFailed,
    GatewayProtocolError,
    GatewayRejected,
    GatewayTimeout,
    GatewayUnreachable,
)
from tool_router.gateway.http_errors import (
    DEFAULT_RETRY_AFTER_S,
    MAX_RETRY_AFTER_S,
    TROUBLES,
    Asked,
    body_says,
    not_json,
    retry_after_s,
    status_error,
    trouble_error,
)

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
ASKED = Asked("GET http://127.0.0.1:4444/v1/tools", has_token=True)
ASKED_BARE = Asked("GET http://127.0.0.1:4444/v1/tools", has_token=False)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("60", 60.0),
        ("0.2", 1.0),
        ("Sat, 21 Nov 2026 12:02:00 GMT", 120.0),
        ("Saturday, 21-Nov-26 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", DEFAULT_RETRY_AFTER_S),
        ("0", DEFAULT_RETRY_AFTER_S),
        ("-5", DEFAULT_RETRY_AFTER_S),
        ("soon", DEFAULT_RETRY_AFTER_S),
        ("nan", DEFAULT_RETRY_AFTER_S),
        ("inf", DEFAULT_RETRY_AFTER_S),
        ("", DEFAULT_RETRY_AFTER_S),
        (None, DEFAULT_RETRY_AFTER_S),
        ("99999999999", MAX_RETRY_AFTER_S),
    ],
)
def test_a_retry_after_is_honoured_whole_and_nonsense_means_a_minute(
    value: str | None, seconds: float
) -> None:
    assert retry_after_s(value, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "asked", "error", "step"),
    [
        (401, ASKED, GatewayRejected, "wrong or has expired"),
        (401, ASKED_BARE, GatewayRejected, "No token was sent"),
        (403, ASKED, GatewayRejected, "tools.execute"),
        (403, ASKED_BARE, GatewayRejected, "GATEWAY_TOKEN"),
        (404, ASKED, GatewayRejected, "gateway.url"),
        (405, ASKED, GatewayRejected, "gateway.url"),
        (413, ASKED, GatewayRejected, "send less"),
        (422, ASKED, GatewayRejected, "log"),
        (307, ASKED, GatewayRejected, "redirects to https://elsewhere.example"),
        (429, ASKED, GatewayBusy, "Nothing is sent for 9 s"),
        (500, ASKED, GatewayFailed, "log"),
        (503, ASKED, GatewayFailed, "log"),
    ],
)
def test_each_status_becomes_an_error_that_says_what_to_do(
    status: int, asked: Asked, error: type[GatewayError], step: str
) -> None:
    headers = {"retry-after": "9", "location": "https://elsewhere.example"}
    found = status_error(status, headers, b'{"detail": "because of this"}', asked)
    assert type(found) is error
    assert f"{status}: because of this." in found.tried
    assert asked.what in found.tried
    assert step in found.next_step


@pytest.mark.parametrize(
    ("name", "error", "reached"),
    [
        ("ConnectError", GatewayUnreachable, False),
        ("ConnectTimeout", GatewayUnreachable, False),
        ("PoolTimeout", GatewayTimeout, False),
        ("ReadTimeout", GatewayTimeout, True),
        ("WriteTimeout", GatewayTimeout, True),
        ("ReadError", GatewayFailed, True),
        ("WriteError", GatewayFailed, True),
        ("RemoteProtocolError", GatewayFailed, True),
        ("DecodingError", GatewayProtocolError, True),
    ],
)
def test_a_request_is_called_unsent_only_when_it_provably_was(
    name: str, error: type[GatewayError], *, reached: bool
) -> None:
    found = trouble_error(name, "why it failed", ASKED)
    assert type(found) is error
    assert found.reached_tool is reached
    assert found.next_step


def test_both_http_clients_have_the_exceptions_that_are_told_apart_by_name() -> None:
    for name in TROUBLES:
        assert hasattr(httpx, name), name
        assert hasattr(httpx2, name), name


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"detail": "Tool not found"}', "Tool not found"),
        (b'{"error": {"code": 1, "message": "no such thing"}}', "no such thing"),
        (b'{"error": "plain"}', "plain"),
        (b'{"other": 1}', '{"other": 1}'),
        (b'{"detail": {"detail": {"detail": {"detail": "deep"}}}}', '{"detail": {"detail": {"detail":'),
        (b"<html><head><title>Sign in</title></head></html>", "Sign in"),
        (b"<html><body>hello</body></html>", ""),
        (b"Payload Too Large\n", "Payload Too Large"),
        (b"two\r\nlines\x1b[31m", "two lines [31m"),
        (b"", ""),
        (b"[" * 100_000, "[[["),
        ("ключ".encode("cp1251"), "�"),
    ],
)
def test_the_sentence_in_an_errors_body_is_shown_on_one_line(body: bytes, said: str) -> None:
    shown = body_says(body)
    assert shown.startswith(said)
    assert len(shown) <= 200
    assert "\n" not in shown


@pytest.mark.parametrize(
    ("body", "content_type", "tried"),
    [
        (b"<!doctype html><title>nginx</title>", "text/html", "an HTML page (nginx)"),
        (b"", "application/json", "answered with nothing"),
        (b'{"tools": [{"na', "application/json", "15 bytes that are no JSON"),
    ],
)
def test_an_answer_that_is_no_json_is_described(body: bytes, content_type: str, tried: str) -> None:
    found = not_json(body, content_type, ASKED)
    assert isinstance(found, GatewayProtocolError)
    assert tried in found.tried
    assert "gateway.url" in found.next_step
