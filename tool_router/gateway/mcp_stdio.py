"""MCP over the stdin and stdout of a command."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

import anyio
from mcp.client._transport import Transport, TransportStreams
from mcp.client.stdio import StdioServerParameters, stdio_client

from tool_router.errors import ConfigError, GatewayError, GatewayUnreachable, UpstreamFailed
from tool_router.gateway.http_errors import one_line
from tool_router.gateway.mcp_failure import Failures

TAIL_LINES = 5
"""How many of a command's last stderr lines an error shows."""

_CHUNK = 65536


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
        program = Path(self._command[0]).name
        # Arguments can hold keys: they tell commands apart only as a hash.
        digest = hashlib.sha256("\0".join(self._command).encode(errors="replace")).hexdigest()
        self.key = f"mcp:stdio:{program}:{digest[:12]}"
        self.label = f"`{program}`"

    def connect(self, failures: Failures) -> Transport:
        """Start the process.

        Raises:
            OSError: it can't be started; `failures` says why in words.
        """
        return self._connect(failures)

    @asynccontextmanager
    async def _connect(self, failures: Failures) -> AsyncGenerator[TransportStreams]:
        parameters = StdioServerParameters(
            command=self._command[0],
            args=list(self._command[1:]),
            env=dict(self._env) if self._env is not None else _inherited(os.environ),
            cwd=self._cwd,
        )
        async with _stderr_tail() as (sink, tail):
            started = False
            try:
                async with stdio_client(parameters, sink) as streams:
                    started = True
                    # Only the child may hold the writing end: the pipe must end when it does.
                    sink.close()
                    failures.ended_with(lambda opened: self._ended(tail.lines(), opened=opened))
                    yield streams
            except (OSError, ValueError) as error:
                if not started:
                    reason = one_line(str(error))
                    failures.ended_with(lambda opened: self._not_started(reason))
                raise

    def _not_started(self, reason: str) -> GatewayError:
        return GatewayUnreachable(
            f"{self.label} can't be started: {reason}.", "Install it, or correct gateway.command."
        )

    def _ended(self, lines: Sequence[str], *, opened: bool) -> GatewayError:
        said = "; ".join(lines)
        last = f" Its last lines: {said}" if said else " It printed nothing."
        if opened:
            return UpstreamFailed(f"{self.label} ended during the call.{last}", "It is started again.")
        return GatewayUnreachable(
            f"{self.label} ended before it spoke MCP.{last}", "Run it in a terminal to see what it lacks."
        )


class _Tail:
    """The last lines that arrive in a pipe."""

    def __init__(self, source: int) -> None:
        self._source: int | None = source
        self._text = b""

    async def follow(self) -> None:
        """Read until the pipe ends, so that its writer never waits."""
        while self._source is not None:
            await anyio.wait_readable(self._source)
            if not self._read():
                return

    def lines(self) -> Sequence[str]:
        """The last lines, oldest first, with what has arrived by now."""
        while self._read():
            pass
        text = self._text.decode(errors="replace")
        return tuple(deque(filter(None, map(one_line, text.splitlines())), maxlen=TAIL_LINES))

    def close(self) -> None:
        """Take what is left and close the pipe."""
        while self._read():
            pass
        if self._source is not None:
            os.close(self._source)
            self._source = None

    def _read(self) -> bool:
        """Take what is there; whether there may be more."""
        if self._source is None:
            return False
        try:
            chunk = os.read(self._source, _CHUNK)
        except BlockingIOError:
            return False
        self._text = (self._text + chunk)[-_CHUNK:]
        return bool(chunk)


@asynccontextmanager
async def _stderr_tail() -> AsyncGenerator[tuple[TextIO, _Tail]]:
    source, sink = os.pipe()
    os.set_blocking(source, False)
    tail = _Tail(source)
    try:
        with os.fdopen(sink, "w") as stream:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(tail.follow)
                try:
                    yield stream, tail
                finally:
                    tasks.cancel_scope.cancel()
    finally:
        tail.close()


def _inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What a shell would give the command, less the secret that is the router's own."""
    return {name: value for name, value in environ.items() if name != "GATEWAY_TOKEN"}
