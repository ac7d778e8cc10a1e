"""Containers of the driver, and what a test asks of them and sees of them."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, cast

from mcp import Client, MCPError
from mcp.types import TextContent

from service_manager.drivers.docker import DockerDriver
from service_manager.drivers.docker_container import ContainerService
from service_manager.drivers.guardian import Guardian
from service_manager.journal import Journal
from service_manager.linux.capabilities import Capabilities, SwapKind, probe
from service_manager.model import Command, ImageSource, ServiceSpec
from service_manager.resources import Limits

IMAGE = "small:1"


class Containers:
    """Runs containers of one engine.

    Attributes:
        journal: what they wrote to stderr.
        host: of the engine.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.environ = {"PATH": os.environ["PATH"], "DOCKER_HOST": host}
        self.guardian = Guardian()
        self.journal = Journal()

    def driver(self, capabilities: Capabilities | None = None) -> DockerDriver:
        return DockerDriver(self.environ, self.guardian, capabilities or probe())

    @asynccontextmanager
    async def run(
        self,
        *args: str,
        limits: Limits | None = None,
        image: str = IMAGE,
        swap: bool = True,
        **changes: Any,
    ) -> AsyncGenerator[ContainerService]:
        """One container, named `s`; `changes` are those of its specification.

        Without `swap` the driver is told that this machine has none.
        """
        spec = replace(ServiceSpec("s", ImageSource(image), args=args, stop_timeout_s=0.5), **changes)
        command = Command(spec.args, spec.env)
        capabilities = probe() if swap else replace(probe(), swap=SwapKind.NONE)
        async with self.driver(capabilities).run(spec, command, limits or Limits(), self.journal) as running:
            yield running

    @asynccontextmanager
    async def talk(
        self, *args: str, limits: Limits | None = None, **changes: Any
    ) -> AsyncGenerator[tuple[ContainerService, Client]]:
        """A container and a session with it."""
        async with (
            self.run(*args, limits=limits, **changes) as running,
            Client(running.transport, mode="legacy", cache=None) as client,
        ):
            yield running, client

    def names(self) -> list[str]:
        """The containers there are, running or not."""
        return [found["Names"][0].lstrip("/") for found in self.ask("containers", all=True)]

    def ask(self, method: str, *args: Any, **options: Any) -> Any:
        """Ask the engine by the SDK."""
        import docker

        client = docker.APIClient(self.host, version="auto", timeout=20)
        try:
            return getattr(client, method)(*args, **options)
        finally:
            client.close()

    def close(self) -> None:
        self.guardian.close()


async def use_up(client: Client, tool: str, value: object) -> None:
    """Call a tool that ends the container."""
    with suppress(MCPError):
        await use(client, tool, value)


async def use(client: Client, tool: str, value: object = None) -> str:
    """Call a tool of the small server."""
    result = await client.call_tool(tool, {"value": value})
    return cast("TextContent", result.content[0]).text
