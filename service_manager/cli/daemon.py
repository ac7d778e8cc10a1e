"""How commands reach the daemon that runs the services of a services.yml."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio

from service_manager.config.services import load_services
from service_manager.model import ServiceSpec
from service_manager.paths import services_file

if TYPE_CHECKING:
    from service_manager.daemon.client import DaemonClient

T = TypeVar("T")

DAEMON_WAIT_S = 30.0
"""How long a daemon may take to start; a slow disk and a busy machine included."""


@dataclass(frozen=True, slots=True)
class Services:
    """The services of a file, which may or may not have a daemon."""

    file: Path
    specs: tuple[ServiceSpec, ...]


def read_services(file: Path | None) -> Services:
    """Read services.yml.

    Raises:
        ConfigError: it is wrong.
    """
    path = services_file(file, os.environ)
    return Services(path, load_services(path, os.environ))


def with_daemon(file: Path, work: Callable[[DaemonClient], Awaitable[T]]) -> T | None:
    """Do something with the daemon of a services.yml; None when none runs.

    Raises:
        ServiceManagerError: what `work` raised.
    """
    from service_manager.daemon.client import DaemonClient, find_daemon

    async def main() -> T | None:
        address = await find_daemon(file, os.environ)
        if address is None:
            return None
        async with DaemonClient(address) as client:
            return await work(client)

    return anyio.run(main)


def with_started_daemon(file: Path, work: Callable[[DaemonClient], Awaitable[T]]) -> T:
    """Do something with the daemon of a services.yml, which is started where none runs.

    Raises:
        DaemonError: it can't be started.
        ServiceManagerError: what `work` raised.
    """
    from service_manager.daemon.client import DaemonClient, ensure_daemon

    async def main() -> T:
        address = await ensure_daemon(file, os.environ, DAEMON_WAIT_S)
        async with DaemonClient(address) as client:
            return await work(client)

    return anyio.run(main)


def no_daemon(file: Path) -> str:
    """What is told where a daemon is needed and none runs."""
    return f"No daemon runs for {file}, so no service does."


def start_hint(names: Sequence[str]) -> str:
    """How services are started, for people."""
    return f"Run `service-manager start {' '.join(names) or 'NAME'}`."
