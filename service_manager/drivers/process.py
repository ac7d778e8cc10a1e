"""Runs a service as a child process that speaks MCP over its standard streams or at an address of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import anyio
import anyio.abc
from anyio import to_thread

from service_manager.drivers import watchdog
from service_manager.drivers.checkpointing import WRONG_STREAMS, Checkpoints
from service_manager.drivers.guardian import Guardian
from service_manager.drivers.http_endpoint import (
    check_unused,
    endpoint_transport,
    failure_to_answer,
    free_port,
    substituted,
    wants_port,
)
from service_manager.drivers.process_service import ProcessService
from service_manager.drivers.zygote import Zygotes
from service_manager.enforce.enforcer import Enforcer
from service_manager.errors import ServiceStartFailed
from service_manager.journal import Journal
from service_manager.linux.capabilities import Capabilities, probe
from service_manager.linux.members import members
from service_manager.linux.procfs import Stat
from service_manager.linux.stopping import same
from service_manager.model import Command, ServiceSpec, Tier
from service_manager.resources import Limits

INHERITED = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_RUNTIME_DIR",
)
"""What a service gets of our environment; secrets it needs are in its own specification."""

KILLED_S = 5.0
"""How long a killed process is waited for; the kernel reaps it later in any case."""


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What every service gets of an environment."""
    return {name: environ[name] for name in INHERITED if name in environ}


class ProcessDriver:
    """Starts services as leaders of their own process groups and ends the groups whole.

    Args:
        environ: the environment `INHERITED` is taken from; it also tells where images of services are kept.
        guardian: ends the groups when this process is killed.
        enforcer: holds services to their limits; None for nobody.
        zygotes: forks Python services instead of starting them, where it can; None for nobody.
        machine: what this machine lets services sleep with.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        guardian: Guardian,
        *,
        enforcer: Enforcer | None = None,
        zygotes: Zygotes | None = None,
        machine: Capabilities | None = None,
    ) -> None:
        self._inherited = inherited(environ)
        self._guardian = guardian
        self._enforcer = enforcer
        self._zygotes = zygotes
        self._machine = machine or probe()
        self._checkpoints = Checkpoints(environ, guardian, self._machine)
        self._environments: dict[str, set[str]] = {}

    @asynccontextmanager
    async def run(
        self, spec: ServiceSpec, command: Command, limits: Limits, journal: Journal
    ) -> AsyncGenerator[ProcessService]:
        """Run a service until the block is left.

        Raises:
            ServiceStartFailed: the program can't be started, its port is taken, or it does not answer there.
        """
        if wants_port(spec):
            spec, command = substituted(spec, command, free_port())
        if spec.endpoint:
            await check_unused(spec.name, spec.endpoint)
        mark = self._guardian.guard_marked(spec.name)
        process = await self._start(spec, replace(command, env={**self._inherited, **command.env, **mark}))
        self._guardian.guard(process.pid)
        checkpoints = self._checkpoints if spec.sleep is Tier.CHECKPOINT else None
        service = ProcessService(
            spec.name, process, journal, self._machine, self._enforcer, checkpoints, mark
        )
        if spec.endpoint:
            self._checkpoints.refuse(spec.name, WRONG_STREAMS)
            service.transport = endpoint_transport(spec.endpoint)
        failure = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(service.follow_stderr)
                tasks.start_soon(service.follow_exit)
                tasks.start_soon(service.enforce, limits)
                try:
                    if checkpoints is not None:
                        # It takes longer to start than this does.
                        await checkpoints.look()
                    if spec.endpoint:
                        tasks.start_soon(service.follow_stdout)
                        failure = await failure_to_answer(service, spec)
                    if failure is None:
                        yield service
                finally:
                    with anyio.CancelScope(shield=True):
                        await _end(process, service, spec.stop_timeout_s, mark)
                    tasks.cancel_scope.cancel()
        finally:
            self._guardian.release(process.pid)
            with anyio.CancelScope(shield=True):
                if self._enforcer is not None:
                    # What it has left behind is killed with its group.
                    await to_thread.run_sync(self._enforcer.release, spec.name)
                await service.forget()
                await process.aclose()
        if failure is not None:
            raise failure

    async def _start(self, spec: ServiceSpec, command: Command) -> anyio.abc.Process:
        # CRIU would also have to write what a fork shares with its zygote.
        forkable = not spec.endpoint and spec.sleep is not Tier.CHECKPOINT
        if self._zygotes is not None and command.python_entry and forkable:
            seen = self._environments.setdefault(command.environment, set())
            seen.add(spec.name)
            self._zygotes.know({command.environment: tuple(seen)})
            forked = await self._zygotes.start(
                command.environment, command.python_entry, command.argv[1:], command.env, command.cwd
            )
            if forked is not None:
                return forked
        started: list[anyio.abc.Process] = []
        try:
            # Cancelled in the middle, only the leader would be killed, and not what it has started by then.
            with anyio.CancelScope(shield=True):
                started.append(
                    await anyio.open_process(
                        list(command.argv),
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        env=command.env,
                        cwd=command.cwd,
                        start_new_session=True,
                    )
                )
        except OSError as error:
            raise ServiceStartFailed(
                f"{spec.name} can't be started: {error}.", f"Check {command.argv[0]!r} in services.yml."
            ) from error
        return started[0]


async def _end(
    process: anyio.abc.Process, service: ProcessService, grace_s: float, mark: Mapping[str, str]
) -> None:
    """End the whole group and what left it: close its input, ask, then kill. It may outlive its leader."""
    # One on disk has no process, and its number may be that of another.
    strays = () if service.absent else await to_thread.run_sync(_strays, process.pid)
    if process.stdin is not None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            await process.stdin.aclose()
    if not service.ending() and not service.absent:
        # A frozen process acts on SIGTERM only once it continues.
        _signal_group(process.pid, signal.SIGTERM)
        await service.resume()
        # Asked of the process itself: the task that follows its exit may be cancelled already.
        with anyio.move_on_after(grace_s):
            await service.exited()
    if not service.absent:
        _signal_group(process.pid, signal.SIGKILL)
    await to_thread.run_sync(_kill, strays, mark)
    if not service.absent:
        with anyio.move_on_after(KILLED_S):
            await service.exited()
    with anyio.move_on_after(KILLED_S):
        await _forget(process.stdin)


async def _forget(stdin: anyio.abc.ByteSendStream | None) -> None:
    """Take note of how a closed pipe ended, which is no news any more.

    Where it broke in the middle of a write, asyncio of Python 3.11 complains on stderr of an exception that
    was never retrieved.
    """
    writer: object = getattr(stdin, "_stream", None)
    if isinstance(writer, asyncio.StreamWriter):
        with suppress(OSError):
            await writer.wait_closed()


def _strays(leader: int) -> tuple[Stat, ...]:
    """The processes of a service that left its group, as far as they are still below it."""
    return tuple(process for process in members(leader) if process.group != leader)


def _kill(processes: tuple[Stat, ...], mark: Mapping[str, str]) -> None:
    watchdog.signal_processes([process.pid for process in processes if same(process)], signal.SIGKILL)
    for name, value in mark.items():
        # What left its parent as well is known by that only, where there is no control group.
        watchdog.signal_processes(watchdog.marked(f"{name}={value}", whole=True), signal.SIGKILL)


def _signal_group(group: int, sent: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sent)
