"""What `serve` may be told, from words to values."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic_core import PydanticCustomError

from service_manager.config.entry import parse_duration
from service_manager.daemon.listen import Listening
from service_manager.errors import DaemonError

NEVER = "never"


def listening_of(
    host: str | None, port: int | None, socket: Path | None, *, allow_remote: bool
) -> Listening | None:
    """Where to listen; None for the socket of its place.

    Args:
        host: an address of this machine; 127.0.0.1 when only a port is given.
        port: 0 takes a free one, and so does only a host.
        socket: a unix socket.
        allow_remote: whether an address that other machines reach is meant.

    Raises:
        DaemonError: both a socket and an address.
    """
    if socket is not None:
        if host is not None or port is not None:
            raise DaemonError("--socket and --host or --port exclude each other.", "Leave one of them out.")
        return Listening(socket.absolute())
    if host is None and port is None:
        return None
    return Listening(None, host or "127.0.0.1", port or 0, allow_remote)


def idle_exit_of(text: str) -> float | None:
    """After how many seconds without use it ends; None for never.

    Raises:
        DaemonError: it is not a duration.
    """
    if text == NEVER:
        return None
    try:
        seconds = parse_duration(text)
    except PydanticCustomError as error:
        raise DaemonError(f"--idle-exit {text} is not a duration.", "Write 10m, 90s or never.") from error
    if not math.isfinite(seconds) or seconds <= 0:
        raise DaemonError(f"--idle-exit can't be {text}.", "Write 10m, 90s or never.")
    return seconds
