"""Where the sockets of running routers are: one for each process, in a directory only its user may enter."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from service_manager.paths import state_dir

MOST_PATH_BYTES = 100
"""A socket's path must fit into 104 bytes on macOS and 108 on Linux."""


def sockets_dir(environ: Mapping[str, str]) -> Path:
    """The directory of the sockets: in the state directory, or a temporary one where that is too deep.

    A router and a command find each other where they have the same state directory.
    """
    own = state_dir(environ) / "routers"
    if len(os.fsencode(own)) + len("/1234567890.sock") <= MOST_PATH_BYTES:
        return own
    told_apart = hashlib.sha256(os.fsencode(own)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"tool-router-{told_apart}"


def is_private(directory: Path) -> bool:
    """Whether a directory belongs to this user alone: in a shared place somebody else may have made it."""
    status = directory.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o077


def socket_of(environ: Mapping[str, str], pid: int) -> Path:
    """The socket of a process."""
    return sockets_dir(environ) / f"{pid}.sock"
