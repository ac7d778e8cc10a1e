"""One zygote, as its manager has it: its process, and our end of its socket."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import anyio
import anyio.abc

from service_manager.zygote import program
from service_manager.zygote.forked import Channel, Unfit

BASE = ("mcp.server.stdio", "mcp.server.lowlevel")
"""What every Python server imports, and what takes most of its start."""

LAZY: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "anyio": ("anyio._backends._asyncio", "argparse", "concurrent.futures.thread"),
        "httpx": ("httpcore", "encodings.idna", "certifi"),
        "httpx2": ("httpcore2", "encodings.idna", "certifi"),
    }
)
"""What libraries import only when they are first used, which would be in every child: 20 ms of each start for
the first, 60 ms of the first request over HTTP for the others."""

PYTHON = "bin/python"
"""The interpreter of an environment."""

READY_S = 15.0
"""How long a zygote may take to import what it is told to."""

END_S = 2.0
"""How long a zygote that is told to end is waited for."""


class RunningZygote:
    """A zygote that was started; it serves once `begin` has returned."""

    def __init__(self, process: anyio.abc.Process, control: socket.socket, env: Mapping[str, str]) -> None:
        self.process = process
        self.control = control
        self._env = env

    async def begin(self, entries: Sequence[str], idle_s: float) -> Mapping[str, str]:
        """Have it import `BASE` and the modules of entries; return which it skipped, and why.

        Args:
            entries: ``module:function`` each.
            idle_s: it ends after so long without a child.

        Raises:
            Unfit: it can't fork after one of these imports.
            OSError: it is gone.
            TimeoutError: it did not answer.
        """
        order = {
            "env": dict(self._env),
            "base": BASE,
            "lazy": dict(LAZY),
            "entries": entries,
            "idle_s": idle_s,
        }
        self.control.send(json.dumps(order).encode())
        with anyio.fail_after(READY_S):
            said, _ = await Channel(self.control).receive()
        if "error" in said:
            raise Unfit(str(said["error"]), str(said["unfit"]))
        if not said:
            raise ConnectionError("it ended before it was ready")
        return said["skipped"]

    @property
    def runs(self) -> bool:
        """Whether its process has not ended."""
        return self.process.returncode is None

    def dismiss(self) -> None:
        """Ask it for nothing more; it ends after its last child."""
        self.control.close()

    def kill(self) -> None:
        """Kill it; its children go on, and their exit codes are lost."""
        with suppress(ProcessLookupError):
            self.process.kill()

    async def end(self) -> None:
        """Return when it has ended, which it is killed for when it takes long."""
        self.dismiss()
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(END_S):
                await self.process.wait()
            self.kill()
            await self.process.aclose()


async def start_zygote(environment: str, env: Mapping[str, str]) -> RunningZygote:
    """Start a zygote with the interpreter of an environment.

    Args:
        environment: the path of the virtual environment.
        env: the environment of the process.

    Raises:
        OSError: it can't be started.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    started = False
    try:
        process = await anyio.open_process(
            [str(Path(environment) / PYTHON), program.__file__],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(env),
            start_new_session=True,
        )
        started = True
    finally:
        theirs.close()
        if not started:
            ours.close()
    return RunningZygote(process, ours, env)
