"""The daemon with the manager it has in production: what sleeps, wakes, changes and dies is real."""

from __future__ import annotations

import json
import signal
import sys

import anyio
import anyio.lowlevel
import pytest

from service_manager.daemon.address import Address
from service_manager.daemon.client import DaemonClient, find_daemon
from service_manager.daemon.launch import MODULE
from tests.integration.daemon.home import LIMIT_S, Home, ends, running
from tests.integration.daemon.wire_client import LEGACY, MODERN, WireClient

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def with_manager(home: Home) -> None:
    home.module = MODULE


async def address_of(home: Home) -> Address:
    address = await find_daemon(home.file, home.environ)
    assert address is not None
    return address


async def service_pid(client: WireClient) -> int:
    pid: int = json.loads(await client.text("seen"))["pid"]
    return pid


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a service that keeps its state does not sleep")
async def test_a_service_that_sleeps_is_listed_and_sleeps_on_until_it_is_called(home: Home) -> None:
    home.serve()
    address = await address_of(home)
    async with DaemonClient(address) as daemon, address.http() as http:
        client = WireClient(http, "/services/raw/mcp", MODERN)
        await client.connect()
        pid = await service_pid(client)
        assert (await daemon.do("raw", "sleep"))["state"] == "sleeping"
        later = WireClient(http, "/services/raw/mcp", LEGACY)
        said = await later.connect()
        assert said["serverInfo"]["name"] == "raw"
        async with later.listening():
            assert len((await later.ask("tools/list"))["result"]["tools"]) == 11
            assert (await later.ask("ping"))["result"] == {}
            assert (await daemon.service("raw"))["state"] == "sleeping"
        assert await service_pid(client) == pid
        woken = await daemon.service("raw")
        assert (woken["state"], woken["starts"]) == ("running", 1)
        # It is calibrated when it first falls asleep, which wakes it as well.
        assert woken["sleeping"]["wakes"] >= 1


async def test_a_crash_says_so_and_the_next_call_finds_it_running_again(home: Home) -> None:
    home.serve()
    address = await address_of(home)
    async with DaemonClient(address) as daemon, address.http() as http:
        client = WireClient(http, "/services/raw/mcp", LEGACY)
        await client.connect()
        error = (await client.call("die"))["error"]
        assert error["data"]["error"] == "ServiceCrashed"
        assert "the disk is on fire" in error["data"]["tried"]
        assert await client.text("echo", text="again") == "again"
        assert (await daemon.logs("raw", 5))["lines"] == ["the disk is on fire"]
        assert "raw" in (await daemon.usage())["services"]


async def test_what_changes_in_services_yml_is_told_to_clients_whose_session_lives_on(home: Home) -> None:
    home.serve()
    address = await address_of(home)
    async with DaemonClient(address) as daemon, address.http() as http:
        client = WireClient(http, "/services/raw/mcp", LEGACY)
        await client.connect()
        await client.ask("resources/subscribe", {"uri": "note://1"})
        async with client.listening() as stream:
            home.write("raw", args=["newcomer"])
            assert (await daemon.reload())["changed"] == ["raw"]
            with anyio.fail_after(LIMIT_S):
                async for message in stream:
                    if message["method"] == "notifications/tools/list_changed":
                        break
                # What it is now is not known yet, and it lists on two pages.
                listed = (await client.ask("tools/list"))["result"]
                assert listed["tools"][-1]["name"] == "newcomer"
                assert "nextCursor" not in listed
                # Of the service as it is now, it hears as of the one before.
                while "note://1" not in json.loads(await client.text("seen"))["subscribed"]:
                    pass


async def test_a_killed_daemon_leaves_no_service_behind(home: Home) -> None:
    killed = home.serve()
    address = await address_of(home)
    async with address.http() as http:
        client = WireClient(http, "/services/raw/mcp", MODERN)
        await client.connect()
        service = await service_pid(client)
    killed.send_signal(signal.SIGKILL)
    killed.wait(LIMIT_S)
    with anyio.fail_after(LIMIT_S):
        while running(service):
            await anyio.lowlevel.checkpoint()
    with ends(home.serve()):
        async with DaemonClient(await address_of(home)) as daemon:
            await daemon.shutdown()
