"""Containers under the manager: started by the first call, asleep when told, woken by the next call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import anyio
import pytest
from mcp.types import TextContent

from service_manager.errors import ServiceCrashed
from service_manager.manager import ServiceManager
from service_manager.model import Command, ImageSource, Progress, ServiceSpec, State, Tier
from tests.integration.docker.running import Containers

pytestmark = pytest.mark.anyio


class Images:
    """A resolver of services that are images."""

    def know(self, specs: Sequence[ServiceSpec]) -> None:
        """It makes no difference here."""

    async def resolve(self, spec: ServiceSpec, progress: Progress) -> Command:
        return Command(spec.args, spec.env)


async def ignore(progress: float, total: float | None, message: str) -> None:
    """Drop progress."""


async def ask(manager: ServiceManager, tool: str, value: object = None) -> str:
    async with manager.lease("s") as session:
        result = await session.call_tool(tool, {"value": value}, ignore)
    return cast("TextContent", result.content[0]).text


async def test_a_call_wakes_a_container_that_sleeps_and_finds_what_it_held(containers: Containers) -> None:
    spec = ServiceSpec("s", ImageSource("small:1"), sleep=Tier.FROZEN, stop_timeout_s=0.5)
    manager = ServiceManager([spec], Images(), containers.environ)
    async with manager.open():
        await ask(manager, "note", "first")
        await manager.sleep("s")
        assert manager.one("s").state is State.SLEEPING
        (name,) = containers.names()
        assert containers.ask("inspect_container", name)["State"]["Paused"]
        assert (await manager.usage())["s"].processes == 1

        assert await ask(manager, "note", "second") == "first second"

        status = manager.one("s")
        assert (status.state, status.starts, status.crashes) == (State.RUNNING, 1, 0)
        assert status.sleeping.tier is Tier.FROZEN
    assert containers.names() == []


async def test_a_container_that_dies_is_told_to_its_caller_and_started_again_by_the_next_call(
    containers: Containers,
) -> None:
    spec = ServiceSpec("s", ImageSource("small:1"), stop_timeout_s=0.5)
    manager = ServiceManager([spec], Images(), containers.environ)
    async with manager.open():
        with pytest.raises(ServiceCrashed, match=r"exit code 3.*the end is near"):
            await ask(manager, "die", 3)
        with anyio.fail_after(20):
            assert await ask(manager, "echo", "again") == "again"
        assert manager.one("s").starts == 2
