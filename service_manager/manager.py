"""All services of a services.yml: leases, starts, stops, status."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from difflib import get_close_matches

import anyio

from service_manager.drivers.guardian import Guardian
from service_manager.drivers.process import ProcessDriver
from service_manager.drivers.protocol import Driver
from service_manager.errors import ServiceUnavailable, UnknownService
from service_manager.model import CommandResolver, Progress, ServiceSpec, Transition
from service_manager.runner import Runner
from service_manager.session import ServiceSession
from service_manager.status import ServiceStatus


class ServiceManager:
    """Runs services while `open` is held.

    Args:
        specs: the services; disabled ones are unknown.
        resolver: gives their commands.
        environ: what services inherit from (see `drivers.process.INHERITED`).
        unavailable: why a service can't run here, empty when it can; asked once for each.
        driver: runs commands; child processes by default.
        clock: monotonic seconds.
        observe: told of every change of a service's state, at once; it must not wait.
    """

    def __init__(
        self,
        specs: Sequence[ServiceSpec],
        resolver: CommandResolver,
        environ: Mapping[str, str],
        *,
        unavailable: Callable[[ServiceSpec], str] = lambda spec: "",
        driver: Driver | None = None,
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[Transition], None] = lambda change: None,
    ) -> None:
        self._specs = tuple(spec for spec in specs if spec.enabled)
        self._resolver = resolver
        self._guardian = Guardian()
        self._driver = driver or ProcessDriver(environ, self._guardian)
        self._unavailable = unavailable
        self._clock = clock
        self._observe = observe
        self._runners: dict[str, Runner] = {}

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Run services on demand; all of them have ended when the block is left."""
        try:
            async with anyio.create_task_group() as tasks:
                self._runners = {
                    spec.name: Runner(
                        spec,
                        self._resolver,
                        self._driver,
                        tasks,
                        self._clock,
                        self._unavailable(spec),
                        self._observe,
                    )
                    for spec in self._specs
                }
                try:
                    yield
                finally:
                    for runner in self._runners.values():
                        runner.close()
                    tasks.cancel_scope.cancel()
        finally:
            self._runners = {}
            self._guardian.close()

    @asynccontextmanager
    async def lease(self, name: str, progress: Progress | None = None) -> AsyncGenerator[ServiceSession]:
        """Hold a running service for the time of the block; it is started first where needed.

        Raises:
            UnknownService: there is none of that name.
            ServiceUnavailable: it can't run here.
            ServiceManagerError: it could not be installed or started.
        """
        runner = self._runner(name)
        runner.hold()
        try:
            yield await runner.ready(progress)
        finally:
            runner.release()

    async def ready(self, name: str) -> None:
        """Start a service where needed, and return when it runs. Raises as `lease` does."""
        async with self.lease(name):
            pass

    async def stop(self, name: str) -> None:
        """Stop a service now.

        Raises:
            UnknownService: there is none of that name.
        """
        await self._known(name).stop()

    def status(self) -> tuple[ServiceStatus, ...]:
        """Every service as it is now."""
        return tuple(runner.status() for runner in self._runners.values())

    def _runner(self, name: str) -> Runner:
        runner = self._known(name)
        if runner.unavailable:
            raise ServiceUnavailable(f"{name} can't run here. {runner.unavailable}")
        return runner

    def _known(self, name: str) -> Runner:
        runner = self._runners.get(name)
        if runner is None:
            raise UnknownService(name, get_close_matches(name, self._runners))
        return runner
