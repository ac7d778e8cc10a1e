"""Runs a service as a child process that speaks MCP over its standard streams."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc
import structlog
from mcp.client._transport import Transport, TransportStreams
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter
from pydantic import ValidationError

from service_manager.drivers.awake import AlwaysAwake
from service_manager.drivers.guardian import Guardian
from service_manager.drivers.lines import Lines
from service_manager.drivers.protocol import Sleeper
from service_manager.errors import ServiceStartFailed
from service_manager.journal import Journal
from service_manager.model import Command, ServiceSpec
from service_manager.resources import Limits, MemoryUse, ResourceUse

STDERR_LINES = 20
"""How many of a service's last stderr lines are kept for error messages."""

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


class ProcessDriver:
    """Starts services as leaders of their own process groups and ends the groups whole.

    Args:
        environ: the environment `INHERITED` is taken from.
        guardian: ends the groups when this process is killed.
    """

    def __init__(self, environ: Mapping[str, str], guardian: Guardian) -> None:
        self._environ = environ
        self._guardian = guardian

    @asynccontextmanager
    async def run(
        self, spec: ServiceSpec, command: Command, limits: Limits, journal: Journal
    ) -> AsyncGenerator[ProcessService]:
        """Run a service until the block is left.

        Raises:
            ServiceStartFailed: the program can't be started.
        """
        inherited = {name: self._environ[name] for name in INHERITED if name in self._environ}
        try:
            process = await anyio.open_process(
                list(command.argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**inherited, **command.env},
                cwd=command.cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise ServiceStartFailed(
                f"{spec.name} can't be started: {error}.", f"Check {command.argv[0]!r} in services.yml."
            ) from error
        self._guardian.guard(process.pid)
        service = ProcessService(spec.name, process, journal)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(service.follow_stderr)
                tasks.start_soon(service.follow_exit)
                try:
                    yield service
                finally:
                    with anyio.CancelScope(shield=True):
                        await _end(process, service, spec.stop_timeout_s)
                    tasks.cancel_scope.cancel()
        finally:
            self._guardian.release(process.pid)
            with anyio.CancelScope(shield=True):
                await process.aclose()


class ProcessService:
    """A running child process; see `service_manager.drivers.protocol.Running`."""

    def __init__(self, name: str, process: anyio.abc.Process, journal: Journal) -> None:
        self._name = name
        self._process = process
        self._journal = journal
        self._before = journal.written
        self._ended = anyio.Event()
        self._log = structlog.get_logger()
        self.pid: int | None = process.pid
        self.transport: Transport = self._streams()
        self.sleeper: Sleeper = AlwaysAwake()
        self.enforced: Mapping[str, str] = {}

    async def wait(self) -> None:
        """Return when the process has ended."""
        await self._ended.wait()

    def last_words(self) -> tuple[str, ...]:
        """Its last stderr lines, oldest first."""
        return self._journal.since(self._before)[-STDERR_LINES:]

    def ending(self) -> str:
        """How the process ended; empty while it runs."""
        code = self._process.returncode
        if code is None:
            return ""
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    async def usage(self) -> ResourceUse:
        """What it uses now."""
        return ResourceUse(0.0, MemoryUse(0))

    async def follow_stderr(self) -> None:
        """Keep its last stderr lines, and never let it wait for a reader."""
        assert self._process.stderr is not None
        async for line in Lines(self._process.stderr):
            text = line.decode(errors="replace").strip()
            if text:
                self._journal.add(text)
                self._log.debug("service_stderr", service=self._name, line=text[:500])

    async def follow_exit(self) -> None:
        """Notice the end of the process."""
        await self._process.wait()
        self._ended.set()

    @asynccontextmanager
    async def _streams(self) -> AsyncGenerator[TransportStreams]:
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        arrived, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, leaving = anyio.create_memory_object_stream[SessionMessage](0)

        async def read(stdout: anyio.abc.ByteReceiveStream) -> None:
            async with arrived:
                async for line in Lines(stdout):
                    try:
                        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                    except ValidationError:
                        # Some servers greet on stdout; that is no reason to give them up.
                        self._log.debug("service_stdout_noise", service=self._name, line=line[:200])
                        continue
                    await arrived.send(SessionMessage(message))

        async def write(stdin: anyio.abc.ByteSendStream) -> None:
            async with leaving:
                async for message in leaving:
                    data = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                        await stdin.send(f"{data}\n".encode())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, self._process.stdout)
            tasks.start_soon(write, self._process.stdin)
            try:
                yield incoming, outgoing
            finally:
                tasks.cancel_scope.cancel()
                incoming.close()
                outgoing.close()


async def _end(process: anyio.abc.Process, service: ProcessService, grace_s: float) -> None:
    """End the whole group: close its input, ask, then kill. The group may outlive its leader."""
    assert process.stdin is not None
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        await process.stdin.aclose()
    if not service.ending():
        # A frozen process acts on SIGTERM only once it continues.
        _signal_group(process.pid, signal.SIGTERM)
        _signal_group(process.pid, signal.SIGCONT)
        # Asked of the process itself: the task that follows its exit may be cancelled already.
        with anyio.move_on_after(grace_s):
            await process.wait()
    _signal_group(process.pid, signal.SIGKILL)
    with anyio.move_on_after(KILLED_S):
        await process.wait()


def _signal_group(group: int, sent: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sent)
