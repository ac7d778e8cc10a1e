"""Services that serve MCP over HTTP: ports, the wait until they answer, the transport."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc
import pytest
from mcp import Client

from service_manager.drivers.http_endpoint import (
    address,
    await_endpoint,
    check_unused,
    endpoint_transport,
    free_port,
    is_loopback,
    substituted,
)
from service_manager.errors import ServiceStartFailed
from service_manager.model import Command, CommandSource, ServiceSpec
from tests.support.mcp_http_server import mcp_http_server

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def answering(*answers: bytes, port: int = 0) -> AsyncGenerator[int]:
    """A server that gives one of these answers to each connection, the last one from then on."""
    left = list(answers)

    async def answer(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream):
                await stream.receive()
                await stream.send(left.pop(0) if len(left) > 1 else left[0])

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


def status(line: str) -> bytes:
    return f"HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def test_a_free_port_can_be_listened_at() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass


def test_the_port_is_put_into_the_endpoint_and_the_arguments() -> None:
    spec = ServiceSpec(
        "s", CommandSource(("x",)), args=("--at={port}",), endpoint="http://127.0.0.1:{port}/m"
    )

    changed, command = substituted(spec, Command(("x", "--at={port}")), 81)

    assert changed.endpoint == "http://127.0.0.1:81/m"
    assert (changed.args, command.argv) == (("--at=81",), ("x", "--at=81"))


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:8000/mcp"])
def test_arguments_are_left_alone_where_the_endpoint_asks_for_no_port(endpoint: str) -> None:
    spec = ServiceSpec("s", CommandSource(("x",)), args=("{port}",), endpoint=endpoint)
    command = Command(("x", "{port}"))

    assert substituted(spec, command, 81) == (spec, command)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:81/mcp", ("127.0.0.1", 81)),
        ("http://somewhere/mcp", ("somewhere", 80)),
        ("https://somewhere/mcp", ("somewhere", 443)),
        ("http://[::1]:9/mcp", ("::1", 9)),
    ],
)
def test_an_address_has_a_host_and_a_port(url: str, expected: tuple[str, int]) -> None:
    assert address(url) == expected


@pytest.mark.parametrize("url", ["http://x:port/mcp", "http:///mcp", "http://x:99999/mcp", "http://[::1/mcp"])
def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    with pytest.raises(ServiceStartFailed, match="is not an address"):
        address(url)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:1/", True),
        ("http://localhost/mcp", True),
        ("http://[::1]:1/", True),
        ("http://127.example.org/", False),
        ("http://10.0.0.1/", False),
    ],
)
def test_loopback_addresses_are_known(url: str, local: bool) -> None:
    assert is_loopback(url) is local


async def test_a_port_that_is_taken_is_named() -> None:
    async with answering(status("200 OK")) as port:
        with pytest.raises(ServiceStartFailed, match=f"another program listens at port {port}"):
            await check_unused("s", f"http://127.0.0.1:{port}/mcp")


async def test_a_port_that_is_free_passes() -> None:
    await check_unused("s", f"http://127.0.0.1:{free_port()}/mcp")


async def test_an_endpoint_is_waited_for_until_it_listens() -> None:
    port = free_port()
    async with anyio.create_task_group() as tasks:
        arrived = anyio.Event()

        async def wait() -> None:
            await await_endpoint(f"http://127.0.0.1:{port}/mcp", 20)
            arrived.set()

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert not arrived.is_set()
        async with answering(status("405 Method Not Allowed"), port=port):
            with anyio.fail_after(10):
                await arrived.wait()


async def test_a_proxys_answers_are_not_those_of_the_service() -> None:
    answers = [status("502 Bad Gateway"), status("503 Service Unavailable"), status("404 Not Found")]
    async with answering(*answers) as port:
        await await_endpoint(f"http://127.0.0.1:{port}/mcp", 20)


@pytest.mark.parametrize(
    ("answers", "seen"), [((), "connection"), ((status("503 Service Unavailable"),), "HTTP status 503")]
)
async def test_an_endpoint_that_does_not_answer_in_time_is_told_with_what_was_seen(
    answers: tuple[bytes, ...], seen: str
) -> None:
    async with answering(*answers or (b"",)) as port:
        with pytest.raises(ServiceStartFailed, match=rf"(?i)within 0\.3 s.*{seen}"):
            await await_endpoint(f"http://127.0.0.1:{port if answers else free_port()}/mcp", 0.3)


async def test_what_accepts_and_stays_silent_is_given_up_in_time() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(ServiceStartFailed, match="No answer"):
        await await_endpoint(f"http://127.0.0.1:{silent.getsockname()[1]}/mcp", 0.2)


async def test_a_real_server_is_reached_through_the_transport() -> None:
    async with mcp_http_server() as server:
        await await_endpoint(server.url, 10)
        async with Client(endpoint_transport(server.url)) as client:
            assert (await client.list_tools()).tools
