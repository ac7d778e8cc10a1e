"""One daemon for each services.yml: a file that the one that runs holds locked.

The system releases the lock when the process ends, whatever ended it, so that a lock is never stale.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager

from service_manager.daemon.address import read_address
from service_manager.daemon.place import Place
from service_manager.errors import DaemonError


class AlreadyRuns(DaemonError):
    """Another daemon serves this services.yml."""


@contextmanager
def held(place: Place) -> Generator[None]:
    """Hold the lock of a place until the block is left.

    Raises:
        AlreadyRuns: another process holds it.
        DaemonError: its file can't be made.
    """
    try:
        # Inherited by nothing: a service must not keep it when the daemon is gone.
        descriptor = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DaemonError(f"{place.lock} can't be written: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(place) from None
        yield
    finally:
        os.close(descriptor)


def _taken(place: Place) -> AlreadyRuns:
    address = read_address(place)
    if address is None:
        return AlreadyRuns("Another daemon of this services.yml is starting.", "Wait for it.")
    where = address.socket or address.url
    return AlreadyRuns(
        f"A daemon of this services.yml runs already: process {address.pid}, {where}.",
        "Use that one, or end it with `service-manager shutdown`.",
    )
