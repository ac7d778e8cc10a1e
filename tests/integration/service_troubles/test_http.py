"""Services at an address: a port that is taken, one that is slow to listen, one that dies before."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from service_manager.drivers.http_endpoint import free_port
from service_manager.errors import ServiceCrashed, ServiceStartFailed
from service_manager.model import ServiceSpec, State
from tests.integration.service_troubles.trouble import (
    alive,
    ask,
    children_with,
    manager_of,
    pid_of,
    trouble,
    until,
)
from tests.support.mcp_http_server import mcp_http_server

pytestmark = pytest.mark.anyio

FREE = "http://127.0.0.1:{port}/mcp"


def served(*switches: str, endpoint: str = FREE, **changes: Any) -> ServiceSpec:
    port = endpoint.removeprefix("http://127.0.0.1:").removesuffix("/mcp")
    return trouble(f"http={port}", *switches, endpoint=endpoint, **changes)


@pytest.fixture
def taken() -> Generator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        yield other.getsockname()[1]


async def test_a_service_at_a_free_port_answers_and_gets_another_at_each_start() -> None:
    manager = manager_of(served(), served(name="t"))
    async with manager.open():
        first = await pid_of(manager)
        assert await pid_of(manager, "t") != first
        with pytest.raises(ServiceCrashed):
            await ask(manager, "crash")
        assert await pid_of(manager) not in (first, 0)
        assert manager.one("s").starts == 2


async def test_a_port_that_is_taken_is_named_and_nothing_is_started(taken: int, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    manager = manager_of(served(f"starts={starts}", endpoint=f"http://127.0.0.1:{taken}/mcp"))
    async with manager.open():
        with pytest.raises(ServiceStartFailed, match=f"port {taken}.*already") as failed:
            await manager.ready("s")
        assert "{port}" in failed.value.next_step
        assert not starts.exists()


async def test_another_server_at_its_port_is_never_mistaken_for_the_service() -> None:
    async with mcp_http_server() as other:
        manager = manager_of(served(endpoint=other.url))
        async with manager.open():
            with pytest.raises(ServiceStartFailed, match="another program listens"):
                await ask(manager, "echo", text="x")


async def test_a_port_that_is_free_again_is_used_by_the_next_call() -> None:
    port = free_port()
    manager = manager_of(served(endpoint=f"http://127.0.0.1:{port}/mcp"))
    async with manager.open():
        with closing(socket.create_server(("127.0.0.1", port))), pytest.raises(ServiceStartFailed):
            await manager.ready("s")
        assert await ask(manager, "echo", text="x") == "x"
        # It uses the same port again although its last connections were closed a moment ago.
        await manager.stop("s")
        assert await ask(manager, "echo", text="y") == "y"


async def test_a_service_that_is_slow_to_listen_is_waited_for() -> None:
    manager = manager_of(served("late=0.6"))
    async with manager.open():
        assert await ask(manager, "echo", text="x") == "x"
        start_ms = manager.one("s").last_start_ms
        assert start_ms is not None
        assert 600 <= start_ms < 5000


async def test_a_service_that_listens_too_late_is_given_up_and_ended(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    manager = manager_of(served("late=30", f"starts={starts}", start_timeout_s=0.5))
    async with manager.open():
        with pytest.raises(ServiceStartFailed, match=r"No answer at http://127.*within 0\.5 s"):
            await manager.ready("s")
        assert not alive(int(starts.read_text()))


async def test_a_service_that_dies_before_it_listens_says_why_at_once() -> None:
    manager = manager_of(served("die", start_timeout_s=60))
    async with manager.open():
        with anyio.fail_after(5):
            for _ in range(3):
                with pytest.raises(
                    ServiceStartFailed, match=r"ended before it answered, exit code 7\..*no licence found"
                ):
                    await manager.ready("s")
        assert manager.one("s").state is State.FAILED


async def test_requests_in_flight_at_the_crash_of_a_service_at_an_address_are_told() -> None:
    manager = manager_of(served())
    async with manager.open():
        async with anyio.create_task_group() as tasks:

            async def rest() -> None:
                with pytest.raises(ServiceCrashed):
                    await ask(manager, "rest", seconds=30)

            for _ in range(3):
                tasks.start_soon(rest)
            await until(lambda: manager.one("s").leases == 3 and manager.one("s").state is State.RUNNING)
            with anyio.fail_after(10), pytest.raises(ServiceCrashed, match="exit code 3"):
                await ask(manager, "crash")
        assert await ask(manager, "echo", text="again") == "again"


async def test_nothing_is_left_of_a_service_at_an_address_when_its_manager_ends(tmp_path: Path) -> None:
    marker = str(tmp_path / "starts")
    manager = manager_of(served(f"starts={marker}"))
    async with manager.open():
        await manager.ready("s")
        assert children_with(marker)
    assert not children_with(marker)
