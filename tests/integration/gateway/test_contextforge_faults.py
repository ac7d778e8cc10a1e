"""Every bad answer a gateway can give: the error it becomes, and that the next request works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from tests.support.gateway_server import TOKEN, ContextForge, contextforge
from tests.support.loopback import Fault, answer, break_off, never, refusing_url
from tool_router.catalog.model import Tool
from tool_router.errors import (
    ConfigError,
    GatewayBusy,
    GatewayError,
    GatewayFailed,
    GatewayProtocolError,
    GatewayRejected,
    GatewayTimeout,
    GatewayUnreachable,
)
from tool_router.gateway.contextforge import ContextForgeGateway
from tool_router.gateway.protocol import no_progress

pytestmark = pytest.mark.anyio

ECHO = Tool(id="everything::echo", name="echo", server="everything", call_name="everything-echo")

Ask = Callable[[ContextForgeGateway], Awaitable[object]]


async def listing(gateway: ContextForgeGateway) -> object:
    return await gateway.list_tools()


async def calling(gateway: ContextForgeGateway) -> object:
    return await gateway.call(ECHO, {"text": "hi"}, no_progress)


HTML = answer(200, "<html><head><title>Sign in</title></head><body></body></html>", "text/html")

FAULTS: list[tuple[str, Fault, type[GatewayError], str]] = [
    ("html", HTML, GatewayProtocolError, "HTML page (Sign in)"),
    ("html called json", answer(200, "<!doctype html><p>hi"), GatewayProtocolError, "HTML page"),
    (
        "half a json",
        answer(200, '{"tools": [{"name": "a'),
        GatewayProtocolError,
        '22 bytes that are no JSON ({"tools": [{"name": "a). The answer was cut off',
    ),
    ("nothing", answer(200, ""), GatewayProtocolError, "nothing"),
    ("binary", answer(200, bytes(range(256))), GatewayProtocolError, "256 bytes that are no JSON (binary)."),
    ("bottomless", answer(200, "[" * 50_000), GatewayProtocolError, "no JSON"),
    ("a number", answer(200, "7"), GatewayProtocolError, ""),
    ("another object", answer(200, '{"items": []}'), GatewayProtocolError, ""),
    (
        "not the encoding it says",
        answer(200, b"plain", headers={"content-encoding": "gzip"}),
        GatewayProtocolError,
        "can't be read",
    ),
    ("401", answer(401, '{"detail": "Invalid credentials"}'), GatewayRejected, "Invalid credentials"),
    ("403", answer(403, '{"detail": "Access denied"}'), GatewayRejected, "Access denied"),
    ("404", answer(404, '{"detail": "Not Found"}'), GatewayRejected, "404: Not Found."),
    ("404 html", answer(404, "<html><title>nginx</title></html>", "text/html"), GatewayRejected, "nginx"),
    ("redirect", answer(302, "", headers={"location": "/login"}), GatewayRejected, "302"),
    ("429", answer(429, "{}", headers={"retry-after": "7"}), GatewayBusy, "429. Nothing is sent for 7 s"),
    ("500", answer(500, "Internal Server Error", "text/plain"), GatewayFailed, "Internal Server Error"),
    ("502", answer(502, "<html><title>Bad Gateway</title>", "text/html"), GatewayFailed, "Bad Gateway"),
    ("broken off mid-answer", break_off(), GatewayFailed, "broke off"),
    ("broken off unanswered", break_off(after_headers=False), GatewayFailed, ""),
    ("never", never, GatewayTimeout, "no answer within 0.3 s"),
]


def impatient(fake: ContextForge) -> ContextForgeGateway:
    return ContextForgeGateway(fake.url, TOKEN, read_timeout_s=0.3, call_timeout_s=0.3)


@pytest.mark.parametrize("ask", [listing, calling])
@pytest.mark.parametrize(
    ("fault", "error", "said"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
async def test_a_bad_answer_is_an_error_that_says_what_to_do_and_the_next_request_works(
    ask: Ask, fault: Fault, error: type[GatewayError], said: str
) -> None:
    async with contextforge() as fake:
        assert fake.loopback is not None
        gateway = impatient(fake)
        async with gateway.open():
            fake.faulty.faults["*"] = fault
            with pytest.raises(GatewayError) as caught:
                await ask(gateway)
            assert type(caught.value) is error
            assert said in str(caught.value)
            assert fake.url in caught.value.tried
            assert caught.value.next_step
            assert TOKEN not in str(caught.value)
            fake.faulty.faults.clear()
            await ask(gateway)
            assert fake.loopback.connections <= 2


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", 60.0), ("Sat, 21 Nov 2026", 60.0)])
async def test_a_429_carries_its_whole_retry_after_and_is_asked_once(header: str, seconds: float) -> None:
    async with contextforge() as fake:
        gateway = impatient(fake)
        fake.faulty.faults["*"] = answer(429, "{}", headers={"retry-after": header} if header else None)
        async with gateway.open():
            with pytest.raises(GatewayBusy) as caught:
                await gateway.list_tools()
        assert caught.value.retry_after_s == seconds
        assert len(fake.faulty.seen) == 1


async def test_a_gateway_that_refuses_connections_was_provably_not_reached() -> None:
    gateway = ContextForgeGateway(refusing_url(), TOKEN)
    async with gateway.open():
        for ask in (listing, calling):
            with pytest.raises(GatewayUnreachable) as caught:
                await ask(gateway)
            assert not caught.value.reached_tool
            assert "gateway.url" in caught.value.next_step


async def test_a_host_that_does_not_exist_is_unreachable() -> None:
    gateway = ContextForgeGateway("http://no-such-host.invalid", TOKEN)
    async with gateway.open():
        with pytest.raises(GatewayUnreachable):
            await gateway.list_tools()


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:4444", "ftp://host", "http://", "http://[bad", "http://me:secret@host"]
)
def test_an_address_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ContextForgeGateway(url, TOKEN)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("faults", "token", "detail", "step"),
    [
        ({}, TOKEN, "", ""),
        ({}, None, "401", "No token was sent"),
        ({}, "wrong", "401", "wrong or has expired"),
        ({"/v1/tools": answer(403, "{}")}, TOKEN, "403", "tools.read"),
        ({"*": answer(429, "{}", headers={"retry-after": "900"})}, TOKEN, "429", "for 900 s"),
        ({"*": HTML}, TOKEN, "HTML", "gateway.url"),
        ({"/health": answer(200, '{"ok": true}')}, TOKEN, "not as ContextForge does", "gateway.url"),
        ({"/health": answer(404, "{}")}, TOKEN, "404", "gateway.url"),
        ({"/health": answer(200, '{"status": "unhealthy"}')}, TOKEN, "unhealthy", "log"),
        ({"/health": answer(500, "{}")}, TOKEN, "500", "log"),
    ],
)
async def test_a_check_tells_what_is_wrong_and_what_to_do(
    faults: dict[str, Fault], token: str | None, detail: str, step: str
) -> None:
    async with contextforge() as fake:
        fake.faulty.faults.update(faults)
        gateway = ContextForgeGateway(fake.url, token)
        async with gateway.open():
            health = await gateway.check()
    assert health.ok is (not detail)
    assert detail in health.detail
    assert step in health.next_step


async def test_a_check_tries_the_mcp_endpoint_where_calls_go_through_it() -> None:
    async with contextforge() as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN, transport="mcp")
        async with gateway.open():
            health = await gateway.check()
    # The fake has none.
    assert not health.ok
    assert f"{fake.url}/mcp was answered 404" in health.detail


async def test_a_check_of_a_gateway_that_does_not_run_says_so() -> None:
    gateway = ContextForgeGateway(refusing_url(), TOKEN)
    async with gateway.open():
        health = await gateway.check()
    assert not health.ok
    assert "could not connect" in health.detail


async def test_a_caller_is_never_held_longer_than_it_wants() -> None:
    async with contextforge() as fake:
        fake.faulty.faults["*"] = never
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            with anyio.move_on_after(0.1) as scope:
                await gateway.list_tools()
            assert scope.cancelled_caught
