"""Who may ask the daemon."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from service_manager.daemon.guard import Guard

LOCAL = {b"host": b"127.0.0.1:7000"}
BEARER = {b"authorization": b"Bearer secret"}


def refused(guard: Guard, headers: dict[bytes, bytes], path: str = "/services") -> HTTPStatus | None:
    refusal = guard.refusal(path, headers)
    return None if refusal is None else refusal.status


@pytest.mark.parametrize("host", ["127.0.0.1:7000", "localhost", "LOCALHOST:1", "[::1]:7000", "127.0.0.1"])
def test_the_names_of_this_machine_are_right(host: str) -> None:
    assert refused(Guard("secret"), {b"host": host.encode(), **BEARER}) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7000", "127.0.0.1.evil.example", "", "[", "localhost@evil.example"]
)
def test_another_name_is_a_page_that_was_pointed_here(host: str) -> None:
    assert refused(Guard("secret"), {b"host": host.encode(), **BEARER}) is HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", None),
        ("http://127.0.0.1", None),
        ("https://evil.example", HTTPStatus.FORBIDDEN),
        ("null", HTTPStatus.FORBIDDEN),
        ("http://localhost.evil.example", HTTPStatus.FORBIDDEN),
    ],
)
def test_a_page_may_ask_when_it_is_of_this_machine(origin: str, status: HTTPStatus | None) -> None:
    assert refused(Guard("secret"), {**LOCAL, **BEARER, b"origin": origin.encode()}) is status


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (b"Bearer secret", None),
        (b"bearer secret", None),
        (b"Bearer secre", HTTPStatus.UNAUTHORIZED),
        (b"Bearer secret2", HTTPStatus.UNAUTHORIZED),
        (b"Basic secret", HTTPStatus.UNAUTHORIZED),
        (b"Bearer \xff", HTTPStatus.UNAUTHORIZED),
        (b"secret", HTTPStatus.UNAUTHORIZED),
        (b"", HTTPStatus.UNAUTHORIZED),
    ],
)
def test_only_the_token_opens(shown: bytes, status: HTTPStatus | None) -> None:
    headers = {**LOCAL, b"authorization": shown} if shown else LOCAL
    assert refused(Guard("secret"), headers) is status


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_a_supervisor_needs_no_token_but_the_right_name(path: str) -> None:
    assert refused(Guard("secret"), LOCAL, path) is None
    assert refused(Guard("secret"), {b"host": b"evil.example"}, path) is HTTPStatus.MISDIRECTED_REQUEST


def test_a_unix_socket_wants_no_token_but_no_wrong_one_either() -> None:
    guard = Guard("secret", token_needed=False)
    assert refused(guard, LOCAL) is None
    assert refused(guard, {**LOCAL, **BEARER}) is None
    assert refused(guard, {**LOCAL, b"authorization": b"Bearer no"}) is HTTPStatus.UNAUTHORIZED


def test_a_daemon_that_others_may_reach_has_any_name_and_still_wants_the_token() -> None:
    guard = Guard("secret", any_host=True)
    remote = {b"host": b"box.example:7000"}
    assert refused(guard, remote) is HTTPStatus.UNAUTHORIZED
    assert refused(guard, {**remote, **BEARER}) is None
    assert refused(guard, {**remote, **BEARER, b"origin": b"http://box.example:7000"}) is None
    assert refused(guard, {**remote, **BEARER, b"origin": b"http://evil.example"}) is HTTPStatus.FORBIDDEN


def test_the_token_is_not_shown_where_a_guard_is_printed() -> None:
    assert "secret" not in repr(Guard("secret"))
