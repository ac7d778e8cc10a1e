"""One running container of a service: its transport, its end, how it sleeps and what it uses."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import anyio
import structlog
from anyio import to_thread
from mcp.client._transport import Transport

from service_manager.drivers.docker_attach import Attachment
from service_manager.drivers.docker_engine import Engine
from service_manager.drivers.docker_sleep import ContainerSleeper, group_of
from service_manager.drivers.http_endpoint import endpoint_transport
from service_manager.drivers.protocol import Sleeper
from service_manager.drivers.sleeping import ProcessSleeper
from service_manager.drivers.stdio import stdio_streams
from service_manager.errors import PlatformError, SleepFailed
from service_manager.journal import Journal
from service_manager.linux.capabilities import Capabilities
from service_manager.linux.members import members
from service_manager.linux.usage import usage
from service_manager.model import ServiceSpec
from service_manager.resources import Limits, MemoryUse, ResourceUse

LAST_LINES = 20
"""How many of its last stderr lines go into error messages."""

SETTLED_S = 5.0
"""How long the engine may take to know that a container has ended once its output has."""

PAUSE_S = 0.02

KILLED_S = 5.0
"""How long a killed container is waited for."""

KILLED = 137
"""The exit code of what SIGKILL ended: 128 + 9."""


class ContainerService:
    """A container that runs; see `service_manager.drivers.protocol.Running`.

    Args:
        spec: the service, its endpoint with the port it was given.
        engine: runs the container.
        container: its id.
        state: what the engine knew of it once it was started.
        attachment: its streams.
        journal: takes its stderr.
        limits: what it may use.
        capabilities: of this machine.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        engine: Engine,
        container: str,
        state: Mapping[str, Any],
        attachment: Attachment,
        journal: Journal,
        limits: Limits,
        capabilities: Capabilities,
    ) -> None:
        self._engine = engine
        self._container = container
        self._attachment = attachment
        self._journal = journal
        self._limits = limits
        self._stop_signal = state.get("Config", {}).get("StopSignal") or "SIGTERM"
        self._before = journal.written
        self._ended = anyio.Event()
        self._following = anyio.CancelScope(shield=True)
        self._ending = ""
        self._log = structlog.get_logger().bind(service=spec.name)
        writing = anyio.Lock()
        self.transport: Transport = (
            endpoint_transport(spec.endpoint)
            if spec.endpoint
            else stdio_streams(spec.name, attachment, attachment.stdout, writing)
        )
        self.pid: int | None = _local_pid(state, container)
        self._processes = _process_sleeper(self.pid, container, capabilities)
        self.sleeper: Sleeper = ContainerSleeper(engine, container, self._processes, writing)
        self.enforced: Mapping[str, str] = {
            name: "docker" for name in _LIMITS if getattr(limits, name) is not None
        }

    async def wait(self) -> None:
        """Return when the container has ended, or its engine has."""
        await self._ended.wait()

    def last_words(self) -> tuple[str, ...]:
        """Its last stderr lines, oldest first."""
        return self._journal.since(self._before)[-LAST_LINES:]

    def ending(self) -> str:
        """How it ended, e.g. "killed for memory"; empty while it runs."""
        return self._ending

    async def usage(self) -> ResourceUse:
        """What it uses now, paused or not.

        Its processes are counted where they can be seen, in some milliseconds. An engine gives no answer
        before the next tick of its own counting, up to a second later; where it gives none, nothing is known.
        """
        if self._processes is not None and self.pid is not None:
            return await to_thread.run_sync(_counted, self.pid, self._container)
        try:
            return await self._engine.usage(self._container)
        except PlatformError as error:
            self._log.debug("container_usage_unknown", error=str(error))
            return ResourceUse(0.0, MemoryUse(0), processes=0)

    async def health(self) -> str:
        """What its HEALTHCHECK says: healthy, unhealthy or starting; without one its state, e.g. running.

        Raises:
            ServiceManagerError: its engine does not answer.
        """
        state = (await self._engine.inspect(self._container))["State"]
        health = state.get("Health", {}).get("Status", "none")
        return str(state["Status"] if health == "none" else health)

    async def follow(self) -> None:
        """Take its output until it has ended, then learn how; nothing but `end` cancels that."""
        with self._following:
            await self._attachment.follow()
            self._ending = await self._how_it_ended()
            self._ended.set()

    async def end(self, grace_s: float) -> None:
        """End its input, ask it to stop, and kill it after a grace. Not to be cancelled.

        Its streams end with it: they are only broken off where the engine does not end them, since a wait
        that is cancelled just when they end is an error in the event loop.
        """
        try:
            await self._attachment.stdout.aclose()
            await self._attachment.send_eof()
            if not self._ended.is_set():
                # A paused container acts on nothing before it continues.
                await self._continue()
                await self._ask_to_stop()
                with anyio.move_on_after(grace_s):
                    await self._ended.wait()
            if not self._ended.is_set():
                await self._kill()
                with anyio.move_on_after(KILLED_S):
                    await self._ended.wait()
        finally:
            self._following.cancel()

    async def _continue(self) -> None:
        try:
            await self.sleeper.wake()
        except SleepFailed as error:
            self._log.debug("container_not_continued", error=str(error))

    async def _ask_to_stop(self) -> None:
        try:
            await self._engine.ask(lambda client: client.kill(self._container, self._stop_signal))
        except PlatformError as error:
            # 404 and 409: it has ended meanwhile.
            if error.status not in (404, 409):
                self._log.warning("container_not_asked_to_stop", error=str(error))

    async def _kill(self) -> None:
        try:
            await self._engine.remove(self._container)
        except PlatformError as error:
            self._log.warning("container_not_killed", error=str(error))

    async def _how_it_ended(self) -> str:
        state: Mapping[str, Any] = {}
        try:
            with anyio.move_on_after(SETTLED_S):
                while not state or state.get("Running"):
                    state = (await self._engine.inspect(self._container))["State"]
                    await anyio.sleep(PAUSE_S)
        except PlatformError as error:
            return "its container was removed" if error.status == 404 else "its Docker engine ended"
        return ending_of(state, self._limits)


_LIMITS = ("memory", "cpu", "processes", "open_files", "file_size")


def ending_of(state: Mapping[str, Any], limits: Limits) -> str:
    """How a container ended, by what the engine knows of its state (`State` of `ContainerInspect`)."""
    if state.get("Running"):
        return "lost: its streams ended while it ran on"
    if state.get("OOMKilled"):
        most = "" if limits.memory is None else f" (it may use {limits.memory / 2**20:g} MB)"
        return f"killed for memory{most}"
    code = state.get("ExitCode", 0)
    said = f" ({state['Error']})" if state.get("Error") else ""
    return f"{'killed, ' if code == KILLED else ''}exit code {code}{said}"


def _counted(pid: int, container: str) -> ResourceUse:
    return usage([process.pid for process in members(pid, group_of(pid, container))])


def _local_pid(state: Mapping[str, Any], container: str) -> int | None:
    """Its first process as this machine numbers it; None where that is another machine's number."""
    pid = int(state.get("State", {}).get("Pid") or 0)
    return pid if pid and group_of(pid, container) else None


def _process_sleeper(pid: int | None, container: str, capabilities: Capabilities) -> ProcessSleeper | None:
    if pid is None or not sys.platform.startswith("linux"):
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return None
    return ProcessSleeper(pid, capabilities, group=group_of(pid, container))
