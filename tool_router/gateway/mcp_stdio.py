"""MCP over the stdin and stdout of a command."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio import to_thread
from mcp.client._transport import Transport, TransportStreams

from service_manager.drivers.guardian import Guardian
from service_manager.drivers.process import ProcessDriver
from service_manager.drivers.protocol import Running
from service_manager.errors import ServiceStartFailed
from service_manager.journal import Journal
from service_manager.model import Command, CommandSource, ServiceSpec
from service_manager.resources import Limits
from tool_router.errors import ConfigError, GatewayError, GatewayUnreachable, UpstreamFailed
from tool_router.gateway.http_errors import one_line
from tool_router.gateway.mcp_failure import Failures

TAIL_LINES = 5
"""How many of a command's last stderr lines an error shows."""

STOP_S = 2.0
"""How long it is waited for after its input was closed and it was asked to end."""


class StdioEndpoint:
    """A command that speaks MCP on stdin and stdout; one process for each connection.

    Args:
        command: the argv.
        env: its environment; this process's own, less the gateway's token, when None.
        cwd: its working directory.

    Raises:
        ConfigError: `command` is empty.
    """

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | None = None
    ) -> None:
        if not command or not command[0]:
            raise ConfigError("gateway.command is empty.", "Give the argv of a stdio MCP server.")
        self._command = tuple(command)
        self._env = env
        self._cwd = cwd
        self._program = Path(self._command[0]).name
        # Arguments can hold keys: they tell commands apart only as a hash.
        digest = hashlib.sha256("\0".join(self._command).encode(errors="replace")).hexdigest()
        self.key = f"mcp:stdio:{self._program}:{digest[:12]}"
        self.label = f"`{self._program}`"

    def connect(self, failures: Failures) -> Transport:
        """Start the process; it dies with this one, whatever kills this one.

        Raises:
            ServiceStartFailed: it can't be started; `failures` says so in words of the gateway.
        """
        return self._connect(failures)

    @asynccontextmanager
    async def _connect(self, failures: Failures) -> AsyncGenerator[TransportStreams]:
        # One for each connection: it costs 20 ms, and is needed for as long as there is a process.
        guardian = Guardian()
        driver = ProcessDriver({}, guardian)
        command = Command(self._command, self._env or _inherited(os.environ), self._cwd)
        spec = ServiceSpec(self._program, CommandSource(self._command), stop_timeout_s=STOP_S)
        try:
            async with driver.run(spec, command, Limits(), Journal()) as running:
                failures.ended_with(lambda opened: self._ended(running, opened=opened), running.wait)
                async with running.transport as streams:
                    yield streams
        except ServiceStartFailed as error:
            reason = one_line(str(error.__cause__ or error))
            failures.ended_with(lambda opened: self._not_started(reason))
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(guardian.close)

    def _not_started(self, reason: str) -> GatewayError:
        return GatewayUnreachable(
            f"{self.label} can't be started: {reason}.", "Install it, or correct gateway.command."
        )

    def _ended(self, running: Running, *, opened: bool) -> GatewayError:
        said = "; ".join(one_line(line) for line in running.last_words()[-TAIL_LINES:])
        last = f"Its last lines: {said}" if said else "It printed nothing on stderr."
        ending = f" ({running.ending()})" if running.ending() else ""
        if opened:
            return UpstreamFailed(
                f"{self.label} ended during the call{ending}. {last}", "The next call starts it again."
            )
        return GatewayUnreachable(
            f"{self.label} ended before it spoke MCP{ending}. {last}",
            "Run it in a terminal to see what it lacks.",
        )


def _inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What a shell would give the command, less the secret that is the router's own."""
    return {name: value for name, value in environ.items() if name != "GATEWAY_TOKEN"}
