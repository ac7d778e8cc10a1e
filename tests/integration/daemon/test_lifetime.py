"""A daemon as a process: one for each services.yml, from its start to its end, whatever ends it."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat

import anyio
import anyio.lowlevel
import httpx2
import pytest

from service_manager.daemon import launch
from service_manager.daemon.address import Address
from service_manager.daemon.client import DaemonClient, ensure_daemon, find_daemon
from service_manager.daemon.listen import Listening, bound
from service_manager.errors import ConfigError, DaemonError
from tests.integration.daemon.home import LIMIT_S, STANDIN, Home, ends, running
from tests.integration.daemon.wire_client import LEGACY, MODERN, WireClient

pytestmark = pytest.mark.anyio


async def test_it_says_where_it_serves_and_nothing_else(home: Home) -> None:
    process = home.serve()
    address = await find_daemon(home.file, home.environ)
    assert address is not None
    assert (address.pid, address.socket) == (process.pid, str(home.place.socket))
    for path in (home.place.socket, home.place.address, home.place.token):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.place.directory.stat().st_mode) == 0o700
    async with address.http() as http:
        client = WireClient(http, "/services/raw/mcp", LEGACY)
        await client.connect()
        assert await client.text("echo", text="over a socket") == "over a socket"
        # Its file's mode protects it.
        answer = await http.get("/services", headers={"Authorization": ""})
        assert answer.status_code == 200
    with ends(process):
        process.send_signal(signal.SIGTERM)
    assert process.communicate() == ("", "")
    assert not home.place.socket.exists()
    assert await find_daemon(home.file, home.environ) is None


async def test_a_second_one_finds_the_first_and_says_so(home: Home) -> None:
    first = home.serve()
    second = home.start("--port", "0")
    with ends(second, code=1):
        pass
    said = second.communicate()
    assert said[0] == ""
    assert f"process {first.pid}" in said[1]
    assert str(home.place.socket) in said[1]
    assert await find_daemon(home.file, home.environ) is not None


async def test_a_killed_one_is_taken_over_with_its_token(home: Home) -> None:
    killed = home.serve()
    before = await find_daemon(home.file, home.environ)
    killed.kill()
    killed.wait(LIMIT_S)
    assert home.place.socket.exists()
    assert await find_daemon(home.file, home.environ) is None
    second = home.serve()
    after = await find_daemon(home.file, home.environ)
    assert before is not None
    assert after is not None
    assert (after.pid, after.token) == (second.pid, before.token)
    assert after.instance != before.instance


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_it_is_never_reachable_from_others_by_accident(host: str) -> None:
    with pytest.raises(DaemonError, match="--allow-remote"), bound(Listening(None, host)):
        pass
    with bound(Listening(None, "localhost")) as listener:
        assert listener.url.startswith("http://127.0.0.1:")


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = pytest.raises(DaemonError, match=f"Port {port} of 127.0.0.1 is taken")
        with taken, bound(Listening(None, "127.0.0.1", port)):
            pass


def test_a_wrong_services_file_is_said_with_its_line(home: Home) -> None:
    home.file.write_text("services:\n  raw:\n    comand: x\n")
    process = home.start()
    with ends(process, code=2):
        pass
    assert "services.yml:3" in process.communicate()[1]


async def test_over_tcp_only_the_token_opens_it(home: Home) -> None:
    home.serve("--port", "0")
    address = await find_daemon(home.file, home.environ)
    assert address is not None
    assert address.url.startswith("http://127.0.0.1:")
    async with DaemonClient(address) as client:
        assert [row["name"] for row in await client.services()] == ["raw"]
    async with httpx2.AsyncClient(base_url=address.url, trust_env=False, verify=False) as stranger:
        assert (await stranger.get("/services")).status_code == 401
        assert (await stranger.post("/services/raw/mcp", json={})).status_code == 401
        assert (await stranger.get("/ready")).json() == {"ready": True}


async def test_an_unused_one_ends_by_itself_and_an_open_stream_is_use(home: Home) -> None:
    process = home.serve("--idle-exit", "500ms")
    address = await find_daemon(home.file, home.environ)
    assert address is not None
    with ends(process):
        async with address.http() as http:
            client = WireClient(http, "/services/raw/mcp", LEGACY)
            await client.connect()
            async with client.listening():
                # Longer than it may be unused; nothing but time can show that.
                await anyio.sleep(1.0)
                assert process.poll() is None
    assert not home.place.socket.exists()


async def test_told_to_end_it_lets_requests_end_and_its_services_with_them(home: Home) -> None:
    process = home.serve()
    address = await find_daemon(home.file, home.environ)
    assert address is not None
    answers: list[str] = []
    service: list[int] = []
    async with address.http() as http, anyio.create_task_group() as tasks:
        client, old = (WireClient(http, "/services/raw/mcp", era) for era in (MODERN, LEGACY))
        await client.connect()
        await old.connect()
        service.append(json.loads(await client.text("seen"))["pid"])

        async def rest() -> None:
            answers.append(await old.text("rest", seconds=0.5))

        async def listen() -> None:
            async with old.listening() as stream:
                opened.set()
                assert [message async for message in stream] == []

        opened = anyio.Event()
        tasks.start_soon(listen)
        tasks.start_soon(rest)
        await opened.wait()
        while json.loads(await client.text("seen"))["waiting"] != 1:
            pass
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(LIMIT_S):
            await anyio.to_thread.run_sync(process.wait)
    assert answers == ["rested"]
    assert process.returncode == 0
    assert not running(service[0])


@pytest.mark.parametrize("how", ["SIGHUP", "a look at the file"])
async def test_a_changed_services_file_is_taken_over(home: Home, how: str) -> None:
    process = home.serve()
    address = await find_daemon(home.file, home.environ)
    assert address is not None
    async with DaemonClient(address) as client:
        home.write("raw", "other")
        if how == "SIGHUP":
            process.send_signal(signal.SIGHUP)
        with anyio.fail_after(LIMIT_S):
            while [row["name"] for row in await client.services()] != ["raw", "other"]:
                pass
        async with address.http() as http:
            standing = WireClient(http, "/services/raw/mcp", LEGACY)
            await standing.connect()
            async with standing.listening() as stream:
                home.write("other")
                assert (await client.reload())["removed"] == ["raw"]
                with anyio.fail_after(LIMIT_S):
                    assert [message async for message in stream] == []
            gone = await http.post("/services/raw/mcp", json={})
        assert gone.status_code == 404


async def test_a_services_file_that_became_wrong_changes_nothing(home: Home) -> None:
    process = home.serve()
    address = await find_daemon(home.file, home.environ)
    assert address is not None
    async with DaemonClient(address) as client:
        home.file.write_text("services:\n  raw:\n    comand: x\n")
        with pytest.raises(ConfigError, match=r"services\.yml:3"):
            await client.reload()
        process.send_signal(signal.SIGHUP)
        assert [row["name"] for row in await client.services()] == ["raw"]
        await client.shutdown()
    with ends(process):
        pass


@pytest.fixture
def standin_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "MODULE", STANDIN)


@pytest.mark.usefixtures("standin_on_demand")
async def test_many_that_need_one_at_once_get_the_same_and_it_is_nobodys_child(home: Home) -> None:
    found: dict[int, Address] = {}

    async def ensure(number: int) -> None:
        found[number] = await ensure_daemon(home.file, home.environ, LIMIT_S)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(ensure, number)
    address = found[0]
    try:
        assert {one.instance for one in found.values()} == {address.instance}
        assert await ensure_daemon(home.file, home.environ, LIMIT_S) == address
        assert os.getsid(address.pid) == address.pid
        assert "daemon_serves" in home.place.log.read_text()
    finally:
        async with DaemonClient(address) as client:
            await client.shutdown()
    with anyio.fail_after(LIMIT_S):
        while running(address.pid):
            await anyio.lowlevel.checkpoint()


@pytest.mark.usefixtures("standin_on_demand")
async def test_one_that_cannot_be_started_says_why(home: Home) -> None:
    home.file.write_text("services:\n  raw:\n    comand: x\n")
    with pytest.raises(DaemonError, match=r"(?s)exit code 2.*services\.yml:3"):
        await ensure_daemon(home.file, home.environ, LIMIT_S)


@pytest.mark.usefixtures("standin_on_demand")
async def test_one_that_does_not_come_up_in_time_is_not_waited_for(home: Home) -> None:
    with pytest.raises(DaemonError, match="in time"):
        await ensure_daemon(home.file, home.environ, 0.01)
    # It comes up all the same, for the next who needs it.
    address = await ensure_daemon(home.file, home.environ, LIMIT_S)
    async with DaemonClient(address) as client:
        await client.shutdown()
