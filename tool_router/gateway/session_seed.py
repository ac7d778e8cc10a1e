"""A secret that the sessions' ids at a gateway are derived from: the same for a router and its successor.

ContextForge never ends a session that was opened under an id a client made up, so a router that starts again
should use those of the one before. Two routers that run at once must not share any: each holds a slot.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import structlog

SLOTS = 16
"""Routers that run at once and keep their sessions; more of them draw a secret that ends with them."""


@contextmanager
def session_seed(directory: Path) -> Generator[bytes]:
    """Hold a slot while the block runs; gives its secret.

    Args:
        directory: where the installation's secret and the slots' locks are; made when it is missing.
    """
    with ExitStack() as stack:
        yield _held(directory, stack)


def _held(directory: Path, stack: ExitStack) -> bytes:
    """The secret of the first free slot, which `stack` holds; one that is drawn where there is none."""
    try:
        import fcntl
    except ImportError:
        return secrets.token_bytes(32)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        installation = _installation(directory / "secret")
        for number in range(SLOTS):
            # The lock goes with the file, whatever ends the process.
            lock = stack.enter_context((directory / f"slot-{number}.lock").open("ab"))
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return hmac.digest(installation, f"slot {number}".encode(), "sha256")
    except OSError as error:
        structlog.get_logger().info("session_seed_not_kept", path=str(directory), reason=str(error))
    return secrets.token_bytes(32)


def _installation(file: Path) -> bytes:
    """The installation's secret; drawn when there is none yet.

    Raises:
        OSError: it can be neither read nor written.
    """
    try:
        with file.open("xb") as new:
            file.chmod(0o600)
            new.write(secrets.token_bytes(32))
    except FileExistsError:
        pass
    found = file.read_bytes()
    # Another router may be writing it at this moment.
    return found if len(found) == 32 else secrets.token_bytes(32)
