"""A manager as a process of its own, to be killed.

usage: python -m tests.integration.service_troubles.managing SERVICE...

A service does what its name says: `running`, `frozen`, `starting`, `falling` asleep over and over, or
`changing` through its whole life over and over (any name that begins so). SWITCHES holds the switches of all
of them as a JSON list. Their processes are said on stdout, as a JSON object, once the moment has come.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

import anyio
import anyio.abc
import structlog

from service_manager.errors import ServiceManagerError
from service_manager.manager import ServiceManager
from service_manager.model import ServiceSpec, Tier
from tests.integration.service_troubles.trouble import manager_of, trouble, until


def service(name: str, switches: list[str]) -> ServiceSpec:
    """A service that is never waited for when it is to end."""
    more = ["silent"] if name == "starting" else []
    # One that names no tier is measured when it falls asleep, which takes longer.
    tier = None if name == "falling" else Tier.FROZEN
    return trouble(*switches, *more, name=name, sleep=tier, stop_timeout_s=0.01)


async def fall_asleep(manager: ServiceManager, name: str) -> None:
    """Put it to sleep and wake it, over and over."""
    while True:
        with suppress(ServiceManagerError):
            await manager.sleep(name)
        await manager.wake(name)


async def change(manager: ServiceManager, name: str) -> None:
    """Start it, put it to sleep, wake it and stop it, over and over."""
    while True:
        with suppress(ServiceManagerError):
            await manager.ready(name)
            await manager.sleep(name)
            await manager.wake(name)
        await manager.stop(name)


async def bring(manager: ServiceManager, name: str, tasks: anyio.abc.TaskGroup) -> None:
    """Bring a service to where it is to be."""
    if name.startswith("changing"):
        tasks.start_soon(change, manager, name)
        return
    if name == "starting":
        tasks.start_soon(manager.ready, name)
        await until(lambda: manager.one(name).pid is not None)
        return
    await manager.ready(name)
    # Where there are control groups it is in its own by then.
    await until(lambda: bool(manager.one(name).enforced))
    if name == "frozen":
        await manager.sleep(name)
    elif name == "falling":
        tasks.start_soon(fall_asleep, manager, name)


async def main(names: list[str]) -> None:
    switches: list[str] = json.loads(os.environ["SWITCHES"])
    manager = manager_of(*(service(name, switches) for name in names))
    async with manager.open(), anyio.create_task_group() as tasks:
        for name in names:
            await bring(manager, name, tasks)
        sys.stdout.write(json.dumps({name: manager.one(name).pid for name in names}) + "\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    anyio.run(main, sys.argv[1:])
