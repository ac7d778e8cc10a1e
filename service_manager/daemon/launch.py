"""Starts a daemon in the background, in a session of its own, and waits until it says that it serves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path

import anyio
import anyio.to_thread

from service_manager.daemon.own_log import last_words
from service_manager.daemon.place import Place, place_of
from service_manager.errors import DaemonError

MODULE = "service_manager.daemon"

ON_DEMAND_IDLE = "10m"
"""How long a daemon that nobody started by hand stays without being used."""

IDLE_VARIABLE = "TOOL_ROUTER_DAEMON_IDLE"
"""Says another such time, or ``never``."""

READY = b"serving"
TAKEN = b"taken"
"""What a daemon writes to the pipe it was given: it serves, or another one does."""

LOG_TAIL = 2_000
"""Bytes of its log that an error repeats."""


class Launched(Enum):
    """What became of a launch."""

    SERVES = auto()
    ANOTHER = auto()


async def launch(services_file: Path, environ: Mapping[str, str], wait_s: float) -> Launched:
    """Start the daemon of a services.yml and wait until it serves.

    Raises:
        DaemonError: it ended, or did not serve in time; with the end of its log.
    """
    place = place_of(services_file, environ)
    place.make()
    reading, writing = os.pipe()
    try:
        try:
            process = _spawn(place, services_file, environ, writing)
        finally:
            os.close(writing)
        said = b""
        with anyio.move_on_after(wait_s):
            while not said.endswith((READY, TAKEN)):
                await anyio.wait_readable(reading)
                chunk = os.read(reading, 64)
                if not chunk:
                    break
                said += chunk
    finally:
        os.close(reading)
    if said.endswith((READY, TAKEN)):
        return Launched.SERVES if said.endswith(READY) else Launched.ANOTHER
    how = f"ended with exit code {process.returncode}" if await _ended(process) else "does not serve in time"
    raise DaemonError(f"The daemon of {services_file} {how}.{_last_words(place)}", f"Read {place.log}.")


def _spawn(
    place: Place, services_file: Path, environ: Mapping[str, str], writing: int
) -> subprocess.Popen[bytes]:
    # Not with its directory on the path: there may be a module of any name in it.
    argv = [sys.executable, "-P", "-m", MODULE, "--file", str(services_file.absolute())]
    argv += ["--idle-exit", environ.get(IDLE_VARIABLE) or ON_DEMAND_IDLE, "--ready-fd", str(writing)]
    try:
        log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise DaemonError(f"{place.log} can't be written: {error.strerror}.") from error
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(environ),
            start_new_session=True,
            pass_fds=[writing],
        )
    except OSError as error:
        raise DaemonError(f"{sys.executable} can't be started: {error.strerror}.") from error
    finally:
        os.close(log)
    # It may end long after the caller has forgotten it; somebody has to bury it.
    threading.Thread(target=process.wait, name="daemon-reaper", daemon=True).start()
    return process


async def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended; one that closed its pipe is about to."""
    with anyio.move_on_after(1.0):
        await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
    return process.returncode is not None


def _last_words(place: Place) -> str:
    text = last_words(place.log, LOG_TAIL)
    return f" Its log ends: {text}" if text else ""
