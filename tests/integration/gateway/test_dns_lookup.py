"""Addresses out of a real DNS server on loopback."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator

import anyio
import dns.rcode
import pytest

from tests.support.dns_server import DnsServer, dns_server
from tool_router.balance.discovery import MAX_TTL_S, Change, Discovery
from tool_router.balance.dns_lookup import LOOKUP_LIMIT_S, DnsLookup
from tool_router.errors import GatewayUnreachable

pytestmark = pytest.mark.anyio

NAME = "gateway.example.com"
SERVICE = "_mcp._tcp.example.com"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def server() -> AsyncGenerator[DnsServer]:
    async with dns_server() as running:
        yield running


def lookup(
    server: DnsServer, name: str = NAME, *, srv: bool = False, limit_s: float = LOOKUP_LIMIT_S
) -> DnsLookup:
    return DnsLookup(name, 4444, srv=srv, nameservers=server.nameservers, limit_s=limit_s)


async def hosts(asks: DnsLookup) -> list[str]:
    return [address.key for address in (await asks()).addresses]


async def test_a_name_has_all_its_addresses_of_both_kinds_for_the_shorter_time(server: DnsServer) -> None:
    server.set(NAME, "A", "10.0.0.2", "10.0.0.1", ttl_s=60)
    server.set(NAME, "AAAA", "fd00::1", ttl_s=20)
    answer = await lookup(server)()
    assert [address.key for address in answer.addresses] == [
        "10.0.0.1:4444",
        "10.0.0.2:4444",
        "[fd00::1]:4444",
    ]
    assert {(address.name, address.source) for address in answer.addresses} == {(NAME, NAME)}
    assert answer.ttl_s == 20
    assert answer.unanswered == frozenset()


async def test_an_alias_is_followed_and_kept_no_longer_than_it_says(server: DnsServer) -> None:
    server.set(NAME, "CNAME", "east.example.com.", ttl_s=7)
    server.set("east.example.com", "A", "10.0.0.1", ttl_s=300)
    answer = await lookup(server)()
    assert [address.host for address in answer.addresses] == ["10.0.0.1"]
    assert answer.addresses[0].name == NAME
    assert answer.ttl_s == 7


async def test_a_name_with_one_kind_of_address_misses_nothing(server: DnsServer) -> None:
    server.set(NAME, "AAAA", "fd00::1")
    answer = await lookup(server)()
    assert [address.host for address in answer.addresses] == ["fd00::1"]
    assert answer.unanswered == frozenset()


async def test_a_nameserver_that_fails_for_one_kind_gives_the_other(server: DnsServer) -> None:
    server.set(NAME, "A", "10.0.0.1")
    server.codes[(NAME, "AAAA")] = dns.rcode.SERVFAIL
    answer = await lookup(server)()
    assert [address.host for address in answer.addresses] == ["10.0.0.1"]
    assert answer.unanswered == {(NAME, 6)}


async def test_a_service_gives_its_targets_ports_priorities_and_weights(server: DnsServer) -> None:
    server.set(SERVICE, "SRV", "20 0 4445 b.example.com.", "10 7 4443 a.example.com.", ttl_s=30)
    server.set("a.example.com", "A", "10.0.0.1", "10.0.0.2")
    server.set("b.example.com", "A", "10.0.1.1")
    answer = await lookup(server, SERVICE, srv=True)()
    found = [(one.key, one.priority, one.weight, one.source) for one in answer.addresses]
    assert found == [
        ("10.0.0.1:4443", 10, 7, "a.example.com"),
        ("10.0.0.2:4443", 10, 7, "a.example.com"),
        ("10.0.1.1:4445", 20, 0, "b.example.com"),
    ]
    assert answer.ttl_s == 30
    # Not the targets' names: whoever forges DNS would choose the certificate.
    assert {address.name for address in answer.addresses} == {"example.com"}


async def test_a_target_that_is_not_answered_leaves_the_others(server: DnsServer) -> None:
    server.set(SERVICE, "SRV", "10 5 443 a.example.com.", "10 5 443 b.example.com.")
    server.set("a.example.com", "A", "10.0.0.1")
    for kind in ("A", "AAAA"):
        server.codes[("b.example.com", kind)] = dns.rcode.SERVFAIL
    answer = await lookup(server, SERVICE, srv=True)()
    assert [address.key for address in answer.addresses] == ["10.0.0.1:443"]
    assert answer.unanswered == {("b.example.com", 4), ("b.example.com", 6)}


async def test_a_target_that_does_not_exist_is_answered_for(server: DnsServer) -> None:
    server.set(SERVICE, "SRV", "10 5 443 a.example.com.", "10 5 443 gone.example.com.")
    server.set("a.example.com", "A", "10.0.0.1")
    answer = await lookup(server, SERVICE, srv=True)()
    assert [address.key for address in answer.addresses] == ["10.0.0.1:443"]
    assert answer.unanswered == frozenset()


@pytest.mark.parametrize("records", [("0 0 0 .",), ()])
async def test_a_service_that_is_not_offered_there_is_a_failure(
    server: DnsServer, records: tuple[str, ...]
) -> None:
    server.set(SERVICE, "SRV", *records)
    with pytest.raises(GatewayUnreachable, match="no SRV record that leads anywhere"):
        await lookup(server, SERVICE, srv=True)()


async def test_a_long_answer_is_asked_for_over_tcp(server: DnsServer) -> None:
    server.truncating = True
    server.set(NAME, "A", *(f"10.0.{number // 250}.{number % 250}" for number in range(500)))
    assert len(await hosts(lookup(server))) == 500
    assert (NAME, "A", "tcp") in server.asked


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("nowhere.example.com", "A", "there is no such name"),
        (NAME, "A", "SERVFAIL"),
        ("text.example.com", "A", "no address"),
        ("a" * 64 + ".example.com", "A", "label"),
    ],
)
async def test_a_name_that_leads_nowhere_says_why(server: DnsServer, name: str, kind: str, why: str) -> None:
    server.set("text.example.com", "TXT", '"hello"')
    server.codes |= {(NAME, "A"): dns.rcode.SERVFAIL, (NAME, "AAAA"): dns.rcode.SERVFAIL}
    with pytest.raises(GatewayUnreachable, match=why) as caught:
        await lookup(server, name)()
    assert not caught.value.reached_tool
    assert caught.value.next_step


async def test_a_silent_nameserver_is_given_up_in_time(server: DnsServer) -> None:
    server.set(NAME, "A", "10.0.0.1")
    server.silent |= {(NAME, "A"), (NAME, "AAAA")}
    began = anyio.current_time()
    with pytest.raises(GatewayUnreachable, match="could not be looked up"):
        await lookup(server, limit_s=0.4)()
    assert anyio.current_time() - began < 2


async def test_one_silent_question_does_not_take_the_other_along(server: DnsServer) -> None:
    server.set(NAME, "A", "10.0.0.1")
    server.silent.add((NAME, "AAAA"))
    answer = await lookup(server, limit_s=0.5)()
    assert [address.host for address in answer.addresses] == ["10.0.0.1"]
    assert answer.unanswered == {(NAME, 6)}


async def test_a_nameserver_that_does_not_run_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(GatewayUnreachable):
        await DnsLookup(NAME, nameservers=[("127.0.0.1", port)], limit_s=0.4)()


@pytest.mark.parametrize(
    ("literal", "key"), [("10.1.2.3", "10.1.2.3:443"), ("::1", "[::1]:443"), ("[::1]", "[::1]:443")]
)
async def test_an_ip_address_is_its_own_answer(literal: str, key: str) -> None:
    answer = await DnsLookup(literal, nameservers=[])()
    assert [address.key for address in answer.addresses] == [key]
    assert answer.ttl_s == MAX_TTL_S


async def test_a_cancelled_lookup_ends_at_once(server: DnsServer) -> None:
    server.silent |= {(NAME, "A"), (NAME, "AAAA")}
    began = anyio.current_time()
    with anyio.move_on_after(0.1) as scope:
        await lookup(server)()
    assert scope.cancelled_caught
    assert anyio.current_time() - began < 1


async def test_a_failover_in_dns_is_told_when_the_answer_has_aged(
    server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tool_router.balance.discovery.MIN_TTL_S", 0.05)
    server.set(NAME, "A", "10.0.0.1", ttl_s=0)
    changes: list[Change] = []
    moved = anyio.Event()

    def note(change: Change) -> None:
        changes.append(change)
        if len(changes) == 2:
            moved.set()

    discovery = Discovery(lookup(server), note)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(discovery.run)
        await discovery.first()
        server.set(NAME, "A", "10.0.0.2", ttl_s=0)
        with anyio.fail_after(5):
            await moved.wait()
        tasks.cancel_scope.cancel()
    assert [one.host for one in changes[1].added] == ["10.0.0.2"]
    assert [one.host for one in changes[1].removed] == ["10.0.0.1"]
