"""Heads that DNS names: real lookups at a loopback nameserver, real heads at loopback addresses."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from tests.support.balancing import balanced
from tests.support.gateway_server import TOKEN, contextforge
from tests.unit.balance.gateways import SteeredGateway, tool
from tool_router.balance.discovered import DiscoveredHeads, asked_name, weighed
from tool_router.balance.discovery import Address, Answer
from tool_router.balance.target_state import TargetSpec
from tool_router.config import Settings
from tool_router.errors import GatewayUnreachable
from tool_router.gateway.assembly import Heads
from tool_router.gateway.protocol import Gateway, no_progress

pytestmark = pytest.mark.anyio


def at(host: str, *, priority: int = 0, weight: int = 0, source: str = "gw.example.com") -> Address:
    return Address(priority, host, 443, weight, "gw.example.com", source)


class Script:
    """Answers lookups one after the other; the last answer stays."""

    name = "gw.example.com"

    def __init__(self, *answers: tuple[Address, ...] | None) -> None:
        self.answers = list(answers)
        self.go_on = anyio.Event()

    async def __call__(self) -> Answer:
        now = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if now is None:
            raise GatewayUnreachable("no nameserver answers")
        return Answer(now, ttl_s=5.0)


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not true():  # noqa: ASYNC110  # nothing tells it
            await anyio.sleep(0.005)


async def test_the_named_head_serves_until_the_addresses_are_known_and_then_each_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tool_router.balance.discovery.MIN_TTL_S", 0.01)
    monkeypatch.setattr("tool_router.balance.discovery.MAX_TTL_S", 0.01)
    named = SteeredGateway()
    gateway = balanced([named])
    made: list[str] = []

    def make(address: Address) -> tuple[TargetSpec, Gateway]:
        made.append(address.host)
        return TargetSpec(address.key), SteeredGateway()

    def names() -> list[str]:
        return [member.name for member in gateway.pool.members()]

    lookup = Script((at("10.0.0.1"), at("10.0.0.2")), None, (at("10.0.0.2"), at("10.0.0.3")))
    heads = DiscoveredHeads(lookup, gateway.pool, gateway.targets, make)
    async with gateway.open(), anyio.create_task_group() as tasks:
        await gateway.call(tool("a"), {}, no_progress)
        assert names() == ["steered"]
        tasks.start_soon(heads.run)
        await until(lambda: names() == ["10.0.0.2:443", "10.0.0.3:443"])
        assert made == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
        assert not named.is_open
        await gateway.call(tool("a"), {}, no_progress)
        tasks.cancel_scope.cancel()


async def test_a_head_of_lower_priority_is_called_only_when_the_others_are_out() -> None:
    first, spare = SteeredGateway(), SteeredGateway()
    first.key, spare.key = "first", "spare"
    gateway = balanced([first, spare])
    gateway.pool.get("spare").priority = 10
    for _ in range(4):
        await gateway.call(tool("a"), {}, no_progress)
    assert spare.called == []
    gateway.pool.failing("first", "it hangs")
    await gateway.call(tool("a"), {}, no_progress)
    assert len(spare.called) == 1


@pytest.mark.parametrize(
    ("discover", "url", "asked"),
    [
        ("host", "https://gw.example.com/base", ("gw.example.com", 443, False)),
        ("host", "http://gw.example.com:4444", ("gw.example.com", 4444, False)),
        ("_mcp._tcp.example.com", "https://gw.example.com", ("_mcp._tcp.example.com", 443, True)),
    ],
)
def test_what_is_looked_up(discover: str, url: str, asked: tuple[str, int, bool]) -> None:
    assert asked_name(discover, url) == asked


def test_the_weight_of_an_srv_record_is_that_of_its_head() -> None:
    spec = TargetSpec("x", weight=2.0)
    assert weighed(spec, at("10.0.0.1")) == 2.0
    assert weighed(spec, at("10.0.0.1", weight=30, source="a.example.com")) == 60.0
    assert 0 < weighed(spec, at("10.0.0.1", source="a.example.com")) < 1


async def test_a_head_at_an_address_is_connected_to_there_and_asked_under_its_name() -> None:
    async with contextforge() as fake:
        host, port = fake.url.removeprefix("http://").split(":")
        settings = Settings.model_validate(
            {"gateway": {"url": "http://gw.example.invalid:81", "token": TOKEN, "kind": "contextforge"}}
        )
        head = Heads().at(settings, settings.gateway.url, (host, int(port)))
        async with head.open():
            assert len(await head.list_tools()) == 2
        assert {request.headers["host"] for request in fake.faulty.seen} == {"gw.example.invalid:81"}
