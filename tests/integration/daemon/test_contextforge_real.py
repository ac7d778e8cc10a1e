"""A real ContextForge: services that sleep stay reachable for it, and a call through it wakes them."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from service_manager.daemon.address import Address
from service_manager.daemon.contextforge import Done, Registration, register
from service_manager.errors import DaemonError
from service_manager.model import State
from tests.integration.daemon.contextforge_lab import SmallLab
from tests.integration.daemon.served import RAW, TOKEN, serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

HEALTH_CHECKS = {"HEALTH_CHECK_INTERVAL": "1", "UNHEALTHY_THRESHOLD": "1"}
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def exports(contextforge_home: Path) -> Generator[dict[str, str]]:
    lab = SmallLab(contextforge_home, python=sys.executable)
    try:
        printed = lab.up(0, HEALTH_CHECKS)
        yield dict(line.removeprefix("export ").split("=", 1) for line in printed.splitlines())
    finally:
        lab.down()


@pytest.fixture
def url(exports: dict[str, str]) -> str:
    return exports["GATEWAY_URL"]


@pytest.fixture
def token(exports: dict[str, str]) -> str:
    return exports["GATEWAY_TOKEN"]


@asynccontextmanager
async def admin(url: str, token: str) -> AsyncGenerator[httpx2.AsyncClient]:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=LIMIT_S, trust_env=False) as http:
        yield http


async def rows(http: httpx2.AsyncClient) -> dict[str, dict[str, Any]]:
    listed = await http.get("/v1/gateways", params={"limit": "0"})
    return {row["name"]: row for row in listed.json()}


async def call(http: httpx2.AsyncClient, tool: str, **arguments: str) -> str:
    params = {"name": tool, "arguments": arguments}
    answer = await http.post(
        "/rpc", json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    )
    return answer.json()["result"]["content"][0]["text"]


async def test_a_sleeping_service_stays_reachable_and_a_call_wakes_it(url: str, token: str) -> None:
    async with serving() as served, admin(url, token) as http:
        daemon = Address(served.url, token=TOKEN)
        assert await register(url, token, daemon, ["raw"]) == (Registration("raw", Done.ADDED),)
        await served.manager.sleep("raw")
        seen: set[str] = set()
        # Health checks only write down that they were made; three of them mark a silent server offline.
        with anyio.fail_after(LIMIT_S):
            while len(seen) < 4:
                row = (await rows(http))["raw"]
                seen.add(row["lastSeen"])
                assert row["reachable"]
                await anyio.sleep(0.2)
        service = served.manager.services["raw"]
        assert (service.state, service.starts) == (State.SLEEPING, 1)
        assert await call(http, "raw-echo", text="through the gateway") == "through the gateway"
        assert (service.state, service.starts) == (State.RUNNING, 2)
        await register(url, token, daemon, [], prune=True)


async def test_registering_again_corrects_what_changed_and_removes_what_is_gone(url: str, token: str) -> None:
    async with serving(one=RAW, two=RAW) as served, admin(url, token) as http:
        daemon = Address(served.url, token=TOKEN)
        assert [done.done for done in await register(url, token, daemon, ["one", "two"], prefix="my-")] == [
            Done.ADDED,
            Done.ADDED,
        ]
        again = await register(url, token, daemon, ["one", "two"], prefix="my-")
        assert {done.done for done in again} == {Done.UNCHANGED}
        refused = await register(url, token, replace(daemon, token="other"), ["one"], prefix="my-")
        assert refused[0].done is Done.FAILED
        assert "401" in refused[0].reason
        elsewhere = replace(daemon, url=served.url.replace("127.0.0.1", "localhost"))
        assert (await register(url, token, elsewhere, ["one"], prefix="my-"))[0].done is Done.UNCHANGED
        async with serving(one=RAW) as moved:
            there = Address(moved.url, token=TOKEN)
            done = await register(url, token, there, ["one"], prefix="my-", prune=True)
            assert done == (Registration("my-one", Done.UPDATED), Registration("my-two", Done.REMOVED))
            found = await rows(http)
            assert found["my-one"]["url"].endswith(f"{moved.url.rpartition(':')[2]}/services/one/mcp")
            # What others registered is nobody's here.
            assert "time" in found
            taken = await register(url, token, there, ["time"])
            assert taken[0].done is Done.FAILED
            assert "Another server" in taken[0].reason
            await register(url, token, there, [], prefix="my-", prune=True)
            assert "my-one" not in await rows(http)


async def test_what_cannot_be_registered_says_why(url: str, token: str) -> None:
    with pytest.raises(DaemonError, match="unix socket"):
        await register(url, token, Address("http://localhost", "/run/x.sock"), ["raw"])
    with pytest.raises(DaemonError, match="refuses the token"):
        await register(url, "wrong", Address("http://127.0.0.1:1"), ["raw"])
    with pytest.raises(DaemonError, match="can't be reached"):
        await register("http://127.0.0.1:1", token, Address("http://127.0.0.1:1"), ["raw"])
    failed = await register(url, token, Address("http://127.0.0.1:1", token="t"), ["nowhere"])
    assert failed[0].done is Done.FAILED
    async with serving() as served:
        with pytest.raises(DaemonError, match="no ContextForge"):
            await register(served.url, TOKEN, Address(served.url, token=TOKEN), ["raw"])
