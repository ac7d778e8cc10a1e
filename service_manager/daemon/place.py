"""Where the files of a daemon are: one for each services.yml, in a directory only its user may enter."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service_manager.errors import DaemonError
from service_manager.paths import state_dir

MOST_PATH_BYTES = 100
"""A socket's path must fit into 104 bytes on macOS and 108 on Linux."""


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one daemon.

    Attributes:
        directory: where they are.
        key: tells the daemons of different services.yml apart.
    """

    directory: Path
    key: str

    @property
    def socket(self) -> Path:
        """The unix socket it listens on when it is given no other address."""
        return self.directory / f"{self.key}.sock"

    @property
    def lock(self) -> Path:
        """Held locked by the daemon while it runs."""
        return self.directory / f"{self.key}.lock"

    @property
    def address(self) -> Path:
        """Where it listens, and who it is; there while it serves."""
        return self.directory / f"{self.key}.json"

    @property
    def token(self) -> Path:
        """The token it accepts; kept from run to run, because gateways are told it."""
        return self.directory / f"{self.key}.token"

    @property
    def log(self) -> Path:
        """What a daemon that was started on demand writes to stderr; bounded."""
        return self.directory / f"{self.key}.log"

    def make(self) -> None:
        """Make the directory.

        Raises:
            DaemonError: it can't be made, or other users may enter it.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            private = is_private(self.directory)
        except OSError as error:
            raise DaemonError(
                f"{self.directory} can't be made: {error.strerror}.", "Name another TOOL_ROUTER_HOME."
            ) from error
        if not private:
            raise DaemonError(
                f"Other users may enter {self.directory}.",
                "Run `chmod 700` on it, if it is yours.",
            )


def place_of(services_file: Path, environ: Mapping[str, str]) -> Place:
    """Where the daemon of a services.yml has its files; a link and what it points to are one services.yml.

    In the state directory, or a temporary one where that is too deep for a socket.
    """
    key = hashlib.sha256(os.fsencode(os.path.realpath(services_file))).hexdigest()[:12]
    own = state_dir(environ) / "daemons"
    if len(os.fsencode(own)) + len(f"/{key}.sock") > MOST_PATH_BYTES:
        told_apart = hashlib.sha256(os.fsencode(own)).hexdigest()[:12]
        own = Path(tempfile.gettempdir()) / f"service-manager-{told_apart}"
    return Place(own, key)


def is_private(directory: Path) -> bool:
    """Whether a directory belongs to this user alone: in a shared place somebody else may have made it."""
    status = directory.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o077
