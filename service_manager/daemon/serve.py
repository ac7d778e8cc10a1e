"""Runs the daemon of one services.yml, from its lock to its end."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import structlog
import uvicorn

from service_manager.config.limits import load_limits
from service_manager.config.services import load_services
from service_manager.daemon.activity import Activity
from service_manager.daemon.address import Address, make_token, write_address
from service_manager.daemon.app import DaemonApp
from service_manager.daemon.control import Control
from service_manager.daemon.guard import Guard
from service_manager.daemon.launch import READY, TAKEN
from service_manager.daemon.listen import Bound, Listening, bound
from service_manager.daemon.lock import AlreadyRuns, held
from service_manager.daemon.managed import Managed
from service_manager.daemon.place import Place, place_of
from service_manager.daemon.view import Json
from service_manager.endpoint.endpoints import Endpoints
from service_manager.errors import ServiceManagerError
from service_manager.filewatch import on_change, on_hangup, state_of
from service_manager.lifecycle.changes import Changes
from service_manager.monitor.assembly import monitor_of
from service_manager.paths import limits_file
from service_manager.policy.rules import ResourceRules

GRACE_S = 5.0
"""How long requests under way may take once the daemon is told to end."""

KEEP_ALIVE_S = 75
"""How long a connection without a request stays open; opening one costs a client more than keeping it."""

ENDINGS = (signal.SIGTERM, signal.SIGINT)

ManagerOf = Callable[[Path, Mapping[str, str]], Managed]
"""Makes the manager of a services.yml with the environment; raises a ServiceManagerError."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a daemon runs.

    Attributes:
        services_file: the services.yml.
        listening: where it listens; None for the socket of its place.
        idle_exit_s: it ends when it was unused for so many seconds; None for never.
        ready_fd: a pipe that is told whether it serves; None for nobody who waits.
    """

    services_file: Path
    listening: Listening | None = None
    idle_exit_s: float | None = None
    ready_fd: int | None = None


async def serve(options: Options, environ: Mapping[str, str], manager_of: ManagerOf) -> None:
    """Serve until told to end, or unused for long enough.

    Raises:
        AlreadyRuns: another daemon serves this services.yml.
        DaemonError: it can't listen there.
        ConfigError: services.yml is wrong.
    """
    place = place_of(options.services_file, environ)
    place.make()
    with _told(options.ready_fd) as tell, _held(place, tell):
        manager = manager_of(options.services_file, environ)
        listening = options.listening or Listening(place.socket)
        with bound(listening) as listener:
            daemon = _Daemon(options, environ, manager, place)
            await daemon.run(listener, listening, tell)


class _Daemon:
    def __init__(self, options: Options, environ: Mapping[str, str], manager: Managed, place: Place) -> None:
        self._options = options
        self._environ = environ
        self._manager = manager
        self._place = place
        self._activity = Activity()
        self._endpoints = Endpoints(manager)
        self._monitor = monitor_of(manager, options.services_file, environ, self._limits().monitor)
        self._end = anyio.Event()
        self._reloading = anyio.Lock()
        self._log = structlog.get_logger()

    async def run(self, listener: Bound, listening: Listening, tell: Callable[[bytes], None]) -> None:
        """Serve until it is told to end."""
        address = Address(
            listener.url,
            str(listener.path or ""),
            make_token(self._place),
            os.getpid(),
            secrets.token_hex(8),
        )
        identity = {"pid": address.pid, "instance": address.instance}
        monitor = self._monitor

        async def usage() -> Json:
            return (await monitor.look()).plain()

        control = Control(self._manager, identity, self._reload, self._end.set, usage)
        guard = Guard(address.token, token_needed=listener.path is None, any_host=listening.allow_remote)
        server = _server(DaemonApp(guard, self._endpoints, control, self._activity))
        async with self._manager.open(), anyio.create_task_group() as tasks:
            async with self._endpoints.open(), anyio.create_task_group() as serving:
                serving.start_soon(partial(server.serve, sockets=[listener.socket]))
                tasks.start_soon(monitor.run)
                self._watch(tasks, await state_of(self._files()))
                control.ready = True
                write_address(self._place, address)
                self._announce(listener)
                tell(READY)
                try:
                    await self._end.wait()
                finally:
                    control.ready = False
                    _forget(self._place, address)
                    server.should_exit = True
                    with anyio.CancelScope(shield=True):
                        await self._wind_down()
            tasks.cancel_scope.cancel()

    def _watch(self, tasks: anyio.abc.TaskGroup, seen: Any) -> None:
        tasks.start_soon(self._on_signal)
        tasks.start_soon(on_hangup, self._try_reload)
        tasks.start_soon(on_change, self._files, seen, self._try_reload)
        if self._options.idle_exit_s is not None:
            tasks.start_soon(self._on_idle, self._options.idle_exit_s)

    async def _on_signal(self) -> None:
        with anyio.open_signal_receiver(*ENDINGS) as signals:
            async for received in signals:
                self._log.info("daemon_told_to_end", signal=received.name)
                self._end.set()

    async def _on_idle(self, idle_s: float) -> None:
        await self._activity.unused(idle_s, self._leased)
        self._log.info("daemon_unused", idle_s=idle_s)
        self._end.set()

    def _leased(self) -> bool:
        return any(status.leases for status in self._manager.status())

    async def _reload(self) -> Changes:
        """Take the files over as they are now; raises a ConfigError, and then nothing changes."""
        async with self._reloading:
            specs, limits = load_services(self._options.services_file, self._environ), self._limits()
            before = {status.name: self._manager.known(status.name) for status in self._manager.status()}
            changes = await self._manager.apply(specs, limits)
            if changes.limits:
                self._monitor.adjust(limits.monitor)
            self._endpoints.close_gone([spec.name for spec in specs if spec.enabled])
            for name in changes.changed:
                self._endpoints.renew(name, before[name])
        self._log.info("services_reloaded")
        return changes

    def _limits(self) -> ResourceRules:
        return load_limits(limits_file(None, self._environ), self._environ)

    def _files(self) -> tuple[Path, ...]:
        return self._options.services_file, limits_file(None, self._environ)

    async def _try_reload(self) -> None:
        try:
            await self._reload()
        except ServiceManagerError as error:
            self._log.warning("services_not_reloaded", reason=str(error))

    async def _wind_down(self) -> None:
        """Let requests under way end, then end sessions and streams."""
        with anyio.move_on_after(GRACE_S):
            await self._activity.calls_done()
        self._endpoints.close_all()

    def _announce(self, listener: Bound) -> None:
        where = listener.path or listener.url
        if self._options.ready_fd is None:
            sys.stderr.write(f"service-manager serves {self._options.services_file} on {where}\n")
            sys.stderr.flush()
        self._log.info("daemon_serves", where=str(where), pid=os.getpid())


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone: the daemon ends its services first."""
        yield


def _server(app: DaemonApp) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(GRACE_S) + 1,
        )
    )


def _forget(place: Place, address: Address) -> None:
    with suppress(OSError):
        place.address.unlink(missing_ok=True)


@contextmanager
def _told(descriptor: int | None) -> Generator[Callable[[bytes], None]]:
    """A way to tell who waits at a pipe, once; the pipe is closed when the block is left."""
    left = [] if descriptor is None else [descriptor]

    def tell(word: bytes) -> None:
        while left:
            with suppress(OSError):
                os.write(left[0], word)
            os.close(left.pop())

    try:
        yield tell
    finally:
        tell(b"")


@contextmanager
def _held(place: Place, tell: Callable[[bytes], None]) -> Generator[None]:
    try:
        with held(place):
            yield
    except AlreadyRuns:
        tell(TAKEN)
        raise
