"""The socket the daemon listens on: a unix socket of its own, or a port."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from service_manager.daemon.place import MOST_PATH_BYTES
from service_manager.errors import DaemonError

BACKLOG = 1_024
"""How many connections may wait; hundreds of clients connect at once after a restart."""

SOCKET_URL = "http://localhost"
"""The root of what is asked over a unix socket, where a host means nothing."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What was asked for: a unix socket, or an address and a port.

    Attributes:
        path: the unix socket; None for TCP.
        host: the address to bind; a name is looked up.
        port: 0 takes a free one.
        allow_remote: whether other machines may reach it.
    """

    path: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    allow_remote: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that listens.

    Attributes:
        socket: it; closed by who opened it.
        url: the root address it is reached at.
        path: the unix socket; None for TCP.
    """

    socket: socket.socket
    url: str
    path: Path | None


@contextmanager
def bound(listening: Listening) -> Generator[Bound]:
    """Listen until the block is left; a unix socket's file goes with it.

    The lock of the place must be held: a socket that is there already was left behind by a killed daemon.

    Raises:
        DaemonError: the address is taken, not of this machine, or reachable from others without leave.
    """
    with _unix(listening.path) if listening.path is not None else _tcp(listening) as made:
        yield made


@contextmanager
def _unix(path: Path) -> Generator[Bound]:
    if len(str(path).encode()) > MOST_PATH_BYTES:
        raise DaemonError(f"{path} is too long for a socket.", f"Use {MOST_PATH_BYTES} bytes at most.")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            if path.is_socket():
                path.unlink()
            server.bind(str(path))
            path.chmod(0o600)
            server.listen(BACKLOG)
        except OSError as error:
            raise DaemonError(f"{path} can't be listened on: {error.strerror}.") from error
        yield Bound(server, SOCKET_URL, path)
    finally:
        server.close()
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def _tcp(listening: Listening) -> Generator[Bound]:
    family, address = _resolved(listening)
    if not address.is_loopback and not listening.allow_remote:
        raise DaemonError(
            f"{listening.host} can be reached from other machines.",
            "Take 127.0.0.1, or add --allow-remote if that is meant.",
        )
    try:
        server = socket.create_server((str(address), listening.port), family=family, backlog=BACKLOG)
    except OSError as error:
        place = f"{listening.host}:{listening.port}"
        if error.errno == errno.EADDRINUSE:
            raise DaemonError(
                f"Port {listening.port} of {listening.host} is taken by another program.",
                "Name another with --port, or leave it out for a unix socket.",
            ) from error
        raise DaemonError(f"{place} can't be listened on: {error.strerror}.") from error
    with server:
        # An answer in two writes waits for the client's delayed acknowledgement otherwise, 40 ms. Accepted
        # sockets inherit it.
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host = f"[{address}]" if address.version == 6 else str(address)
        yield Bound(server, f"http://{host}:{server.getsockname()[1]}", None)


def _resolved(
    listening: Listening,
) -> tuple[socket.AddressFamily, ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(listening.host, listening.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DaemonError(f"{listening.host} is no address of this machine.", "Take 127.0.0.1.") from error
    # A name such as localhost may have both; what clients try first.
    family, *_, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, ipaddress.ip_address(address[0])
