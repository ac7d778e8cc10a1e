"""The drivers of one manager, with all that they hold: the watchdog, the control groups, the zygotes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio import to_thread

from service_manager.drivers.choice import ChoosingDriver
from service_manager.drivers.docker import DockerDriver
from service_manager.drivers.guardian import Guardian
from service_manager.drivers.kubernetes import KubernetesDriver
from service_manager.drivers.process import ProcessDriver, inherited
from service_manager.drivers.protocol import Driver
from service_manager.drivers.remote import RemoteDriver
from service_manager.drivers.zygote import Zygotes
from service_manager.enforce.enforcer import Enforcer
from service_manager.linux.capabilities import Capabilities
from service_manager.resources import Limits


@dataclass(frozen=True, slots=True)
class Drivers:
    """What one manager runs services with.

    Attributes:
        driver: runs services of every kind.
        limit_all: replaces the limits of all services together, for those that run too; belongs on a worker
            thread.
    """

    driver: Driver
    limit_all: Callable[[Limits], None]


@asynccontextmanager
async def open_drivers(
    environ: Mapping[str, str], system: Limits, machine: Capabilities
) -> AsyncGenerator[Drivers]:
    """Run services of every kind while the block is held.

    Args:
        environ: what services inherit from, and where engines and clusters are looked for.
        system: what all services together may use.
        machine: what it lets services sleep with.
    """
    guardian = Guardian()
    enforcer = Enforcer(system)
    try:
        async with Zygotes(inherited(environ), guardian) as zygotes:
            process = ProcessDriver(environ, guardian, enforcer=enforcer, zygotes=zygotes, machine=machine)
            docker = DockerDriver(environ, guardian, machine)
            kubernetes = KubernetesDriver(environ, guardian)
            driver = ChoosingDriver(process, docker, kubernetes, RemoteDriver())
            yield Drivers(driver, enforcer.change_system)
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(enforcer.close)
            await to_thread.run_sync(guardian.close)
