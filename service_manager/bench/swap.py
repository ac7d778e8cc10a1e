"""A swap file for the time of a measurement, where root allows."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from service_manager.errors import NoSwapFile

PATHS = ":/usr/sbin:/sbin"
"""Where mkswap and swapon are, which are not on everybody's PATH."""


@contextmanager
def swap_file(path: Path, size: int) -> Generator[None]:
    """Swap on a file until the block is left; the file is removed then.

    Args:
        path: where; there must be no file.
        size: bytes.

    Raises:
        NoSwapFile: it can't be made, with what the system said.
    """
    try:
        with path.open("xb") as file:
            path.chmod(0o600)
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise NoSwapFile(f"{path} can't be made: {error}.", "Name another place.") from error
    try:
        _run("mkswap", path)
        _run("swapon", path)
        try:
            yield
        finally:
            _run("swapoff", path)
    finally:
        path.unlink()


def _run(program: str, path: Path) -> None:
    environ = {**os.environ, "PATH": os.environ.get("PATH", "") + PATHS}
    try:
        subprocess.run([program, str(path)], env=environ, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise NoSwapFile(
            f"`{program} {path}` failed: {said.strip()}.",
            "Only root may do this, and not every file system can hold a swap file.",
        ) from error
