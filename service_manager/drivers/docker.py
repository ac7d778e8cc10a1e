"""Runs services as containers of a Docker engine, which has their images already; nothing is pulled."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import structlog

from service_manager.drivers.docker_attach import attached
from service_manager.drivers.docker_container import ContainerService
from service_manager.drivers.docker_engine import Engine, connect
from service_manager.drivers.docker_owner import OWNER_LABEL, SERVICE_LABEL, gone, parse, this_process
from service_manager.drivers.guardian import Guardian
from service_manager.drivers.http_endpoint import (
    check_unused,
    failure_to_answer,
    free_port,
    is_loopback,
    substituted,
    wants_port,
)
from service_manager.errors import PlatformError, ServiceStartFailed
from service_manager.journal import Journal
from service_manager.linux.capabilities import Capabilities
from service_manager.model import Command, ImageSource, ServiceSpec
from service_manager.resources import Limits

if TYPE_CHECKING:
    from docker import APIClient

END_SCRIPT = Path(__file__).with_name("docker_end.py")

ENGINE_VARIABLES = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "HOME")
"""What besides DOCKER_HOST says how to reach the engine."""

NANO = 1_000_000_000
"""An engine counts processors in billionths."""


class DockerDriver:
    """Runs one container for each service, and removes those that killed managers left behind.

    Args:
        environ: where DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH are looked for.
        guardian: has the containers removed when this process is killed.
        capabilities: of this machine.
    """

    def __init__(self, environ: Mapping[str, str], guardian: Guardian, capabilities: Capabilities) -> None:
        self._environ = environ
        self._guardian = guardian
        self._capabilities = capabilities
        self._us = this_process()
        self._held = 0
        self._log = structlog.get_logger()

    @asynccontextmanager
    async def run(
        self, spec: ServiceSpec, command: Command, limits: Limits, journal: Journal
    ) -> AsyncGenerator[ContainerService]:
        """Run a container until the block is left, then remove it.

        Raises:
            ServiceStartFailed: the engine or its image is missing, the port is taken, or it does not answer.
        """
        source = spec.source
        if not isinstance(source, ImageSource):
            raise ServiceStartFailed(f"{spec.name} has no image.", "Add `image:` to it in services.yml.")
        if wants_port(spec):
            spec, command = substituted(spec, command, free_port())
        if spec.endpoint and is_loopback(spec.endpoint):
            await check_unused(spec.name, spec.endpoint)
        async with AsyncExitStack() as stack:
            try:
                service = await self._start(stack, spec, source.image, command, limits, journal)
            except PlatformError as error:
                raise ServiceStartFailed(
                    f"{spec.name} can't be started: {error.tried.rstrip('.')}.",
                    error.next_step or "Compare its entry in services.yml with its image.",
                ) from error
            await stack.enter_async_context(_alive(service, spec))
            yield service

    async def _start(
        self,
        stack: AsyncExitStack,
        spec: ServiceSpec,
        image: str,
        command: Command,
        limits: Limits,
        journal: Journal,
    ) -> ContainerService:
        engine = await stack.enter_async_context(connect(self._environ))
        name = f"tool-router-{spec.name}-{self._us.pid}-{self._us.started}"
        await self._clear(engine, name)
        stack.enter_context(self._guarded(engine.host))
        network = await _network(engine, spec)
        labels = {OWNER_LABEL: self._us.label(), SERVICE_LABEL: spec.name}
        try:
            container = await engine.ask(
                lambda client: _create(
                    client, name, labels, image, command, limits, network, stdin=not spec.endpoint
                )
            )
        except PlatformError as error:
            if error.status != 404:
                raise
            raise PlatformError(
                f"the engine at {engine.host} has no image {image}",
                f"Nothing is pulled: run `docker pull {image}`, or build it.",
            ) from error
        stack.push_async_callback(self._removed, engine, container)
        attachment = await stack.enter_async_context(
            attached(engine.host, self._environ, container, journal, stdin=not spec.endpoint)
        )
        await engine.ask(lambda client: client.start(container))
        state = await engine.inspect(container)
        return ContainerService(
            spec, engine, container, state, attachment, journal, limits, self._capabilities
        )

    async def _clear(self, engine: Engine, name: str) -> None:
        """Remove what managers that are gone left behind, and what of our own could not be removed."""
        for found in await engine.owned():
            owner = parse(found["Labels"].get(OWNER_LABEL, ""))
            running = found["State"] in ("running", "paused")
            stale = owner == self._us and f"/{name}" in found["Names"]
            if owner is not None and (stale or gone(owner, self._us, running=running)):
                self._log.info("container_left_behind", container=found["Names"])
                await self._removed(engine, found["Id"])

    async def _removed(self, engine: Engine, container: str) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await engine.remove(container)
            except PlatformError as error:
                self._log.warning("container_not_removed", container=container, error=str(error))

    @contextmanager
    def _guarded(self, host: str) -> Generator[None]:
        """Have our containers removed if this process dies within the block; once for all of them."""
        variables = {name: self._environ[name] for name in ENGINE_VARIABLES if self._environ.get(name)}
        reached = [f"{name}={value}" for name, value in {**variables, "DOCKER_HOST": host}.items()]
        # -P: the script's directory holds modules whose names are those of packages it imports.
        argv = ["env", *reached, sys.executable, "-P", str(END_SCRIPT), self._us.label()]
        self._held += 1
        if self._held == 1:
            self._guardian.guard_by(argv)
        try:
            yield
        finally:
            self._held -= 1
            if not self._held:
                self._guardian.release_by(argv)


def _create(
    client: APIClient,
    name: str,
    labels: Mapping[str, str],
    image: str,
    command: Command,
    limits: Limits,
    network: str | None,
    *,
    stdin: bool,
) -> str:
    from docker.types import LogConfig, Ulimit

    ulimits = [
        Ulimit(name=kind, soft=most, hard=most)
        for kind, most in (("nofile", limits.open_files), ("fsize", limits.file_size))
        if most is not None
    ]
    host = client.create_host_config(
        network_mode=network,
        # Without memswap_limit: equal to the memory it would forbid the container to be paged out.
        mem_limit=limits.memory,
        nano_cpus=None if limits.cpu is None else round(limits.cpu * NANO),
        pids_limit=limits.processes,
        ulimits=ulimits,
        # What it writes is taken from its streams; the engine's own copy would grow without end.
        log_config=LogConfig(type="none"),
    )
    created = client.create_container(
        image,
        list(command.argv) or None,
        name=name,
        labels=labels,
        environment=command.env,
        stdin_open=stdin,
        working_dir=command.cwd,
        host_config=host,
        use_config_proxy=False,
    )
    return str(created["Id"])


async def _network(engine: Engine, spec: ServiceSpec) -> str | None:
    """The machine's own network where its endpoint is there or there is no other; None for the usual one."""
    if spec.endpoint and is_loopback(spec.endpoint):
        return "host"
    known = await engine.ask(lambda client: client.networks(names=["bridge", "nat"]))
    return None if known else "host"


@asynccontextmanager
async def _alive(service: ContainerService, spec: ServiceSpec) -> AsyncGenerator[None]:
    """Follow a container that was started until the block is left, then end it."""
    failure = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.follow)
        try:
            failure = await failure_to_answer(service, spec)
            if failure is None:
                yield
        finally:
            with anyio.CancelScope(shield=True):
                await service.end(spec.stop_timeout_s)
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
