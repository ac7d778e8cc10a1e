"""Services that serve MCP over HTTP: their port, the wait until they answer, and the transport to them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import anyio
import httpx2
from mcp.client._transport import Transport, TransportStreams
from mcp.client.streamable_http import streamable_http_client

from service_manager.drivers.endings import did_not_start
from service_manager.drivers.protocol import Running
from service_manager.errors import ServiceStartFailed
from service_manager.model import Command, ServiceSpec

PORT = "{port}"
"""Stands for a free port in a service's endpoint and arguments."""

LOOPBACK = "127.0.0.1"

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.25
"""Between two looks at an endpoint; each pause is half as long again as the one before, up to the longest."""

LOOK_S = 5.0
"""How long one look may take: what accepts and never answers is looked at again."""

CONNECT_S = 30.0
"""How long connecting and sending may take, as in the SDK's own client."""

NOT_YET = frozenset({502, 503, 504})
"""What a proxy answers while the service behind it does not; see RFC 9110, 15.6.3 to 15.6.5."""

_CORRECT = "Write `endpoint:` in services.yml as http://HOST:PORT/PATH."


def free_port() -> int:
    """A port of the loopback interface that nobody listens at now; somebody may a moment later."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def wants_port(spec: ServiceSpec) -> bool:
    """Whether its endpoint leaves the port to us."""
    return PORT in spec.endpoint


def substituted(spec: ServiceSpec, command: Command, port: int) -> tuple[ServiceSpec, Command]:
    """The service and its command with this port where ``{port}`` stands in its endpoint and arguments.

    Both stay as they are where the endpoint holds no ``{port}``: its arguments may mean something else by it.
    """
    if not wants_port(spec):
        return spec, command

    def put(text: str) -> str:
        return text.replace(PORT, str(port))

    changed = replace(spec, endpoint=put(spec.endpoint), args=tuple(map(put, spec.args)))
    return changed, replace(command, argv=tuple(map(put, command.argv)))


def address(url: str) -> tuple[str, int]:
    """The host and the port of an address, the scheme's own port where it names none.

    Raises:
        ServiceStartFailed: it has no host, or a port that is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise ServiceStartFailed(f"{url} is not an address: {error}.", _CORRECT) from error
    if not parts.hostname:
        raise ServiceStartFailed(f"{url} is not an address: it has no host.", _CORRECT)
    return parts.hostname, port


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own.

    Raises:
        ServiceStartFailed: it is no address.
    """
    host = address(url)[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def check_unused(name: str, url: str) -> None:
    """Return when nothing listens where a service is about to.

    Raises:
        ServiceStartFailed: another program does; what would answer there is not the service.
    """
    host, port = address(url)
    try:
        with anyio.fail_after(LOOK_S):
            stream = await anyio.connect_tcp(host, port)
    except (OSError, TimeoutError):
        return
    await stream.aclose()
    raise ServiceStartFailed(
        f"{name} can't be started: another program listens at port {port} of {host} already.",
        f"End that program, or write {PORT} for the port in services.yml to have a free one chosen.",
    )


async def await_endpoint(url: str, within_s: float, headers: Mapping[str, str] | None = None) -> None:
    """Return when something answers HTTP at an address, whatever it says; a proxy's 502 to 504 is not yet it.

    It is asked by OPTIONS, which opens no MCP session. Who can see the service end waits for that as well.

    Args:
        url: its MCP endpoint.
        within_s: seconds it is given.
        headers: sent along.

    Raises:
        ServiceStartFailed: nothing answered in time; carries what was seen last.
    """
    address(url)
    seen, pause_s = "nothing was tried", FIRST_PAUSE_S
    with anyio.move_on_after(within_s):
        async with _client(url, headers or {}, httpx2.Timeout(LOOK_S)) as client:
            while True:
                try:
                    answer = await client.request("OPTIONS", url)
                    if answer.status_code not in NOT_YET:
                        return
                    seen = f"HTTP status {answer.status_code}"
                except httpx2.TimeoutException:
                    seen = "it accepts connections and does not answer"
                except httpx2.TransportError as error:
                    seen = f"{error}" or type(error).__name__
                await anyio.sleep(pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)
    raise ServiceStartFailed(
        f"No answer at {url} within {within_s:g} s: {seen}.",
        "Compare `endpoint:` in services.yml with where the service listens.",
    )


async def failure_to_answer(running: Running, spec: ServiceSpec) -> ServiceStartFailed | None:
    """Wait until a service answers at its endpoint, where it has one.

    Returns:
        None once it does; the error once it has ended, or its time to start is over.
    """
    if not spec.endpoint:
        return None
    why = ""
    async with anyio.create_task_group() as tasks:

        async def notice_end() -> None:
            await running.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(notice_end)
        try:
            await await_endpoint(spec.endpoint, spec.start_timeout_s)
        except ServiceStartFailed as error:
            why = error.tried.rstrip(".")
        tasks.cancel_scope.cancel()
    if running.ending():
        why = "it ended before it answered"
    return did_not_start(spec.name, why, running) if why else None


@asynccontextmanager
async def _streams(url: str, headers: Mapping[str, str]) -> AsyncGenerator[TransportStreams]:
    # How long an answer may take is for the caller to say; a tool may need minutes without a word.
    async with (
        _client(url, headers, httpx2.Timeout(CONNECT_S, read=None)) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams


def endpoint_transport(url: str, headers: Mapping[str, str] | None = None) -> Transport:
    """MCP over Streamable HTTP with a client of its own, for one session.

    Args:
        url: the endpoint.
        headers: sent with every request.
    """
    return _streams(url, headers or {})


def _client(url: str, headers: Mapping[str, str], timeout: httpx2.Timeout) -> httpx2.AsyncClient:
    # A proxy of the environment can't reach this machine's own addresses, and would answer in their place.
    return httpx2.AsyncClient(headers=dict(headers), timeout=timeout, trust_env=not is_loopback(url))
