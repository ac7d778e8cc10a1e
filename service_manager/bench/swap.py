"""Swap for the time of a measurement, where root allows, and how fast the disk below it is."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from service_manager.errors import NoSwap
from service_manager.policy.tiers import quantile

PATHS = ":/usr/sbin:/sbin"
"""Where mkswap and swapon are, which are not on everybody's PATH."""

ZRAM = Path("/sys/class/zram-control")
"""Makes and removes zram devices."""

SAMPLE, PAGE, READS = 16 * 1024 * 1024, 4096, 200
"""Bytes of the file that shows how fast a disk is, bytes of a read, and how many of them."""

PAUSE_S = 0.005


@contextmanager
def swap_file(path: Path, size: int) -> Generator[None]:
    """Swap on a file until the block is left; the file is removed then.

    Args:
        path: where; there must be no file.
        size: bytes.

    Raises:
        NoSwap: it can't be made, with what the system said.
    """
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NoSwap(f"{path} can't be made: {error}.", "Name another place.") from error
    try:
        try:
            os.posix_fallocate(made, 0, size)
        except OSError as error:
            raise NoSwap(f"{path} can't be {size} bytes long: {error}.", "Make room for it.") from error
        finally:
            os.close(made)
        _run("mkswap", path)
        _run("swapon", path)
        try:
            yield
        finally:
            _run("swapoff", path)
    finally:
        path.unlink()


@contextmanager
def zram_swap(size: int) -> Generator[None]:
    """Swap on a zram device of its own until the block is left; see the kernel on zram.

    Args:
        size: bytes it takes before they are compressed.

    Raises:
        NoSwap: it can't be made, with what the system said.
    """
    try:
        number = int((ZRAM / "hot_add").read_text())
    except OSError as error:
        raise NoSwap(f"No zram device can be made: {error}.", "Load its module: `modprobe zram`.") from error
    device = Path(f"/dev/zram{number}")
    try:
        Path(f"/sys/block/zram{number}/disksize").write_text(str(size))
        _run("mkswap", device)
        # Before any other swap.
        _run("swapon", "--priority", "100", device)
        try:
            yield
        finally:
            _run("swapoff", device)
    finally:
        (ZRAM / "hot_remove").write_text(str(number))


@dataclass(frozen=True, slots=True)
class DiskSpeed:
    """What one page takes that is read at random. Milliseconds."""

    p50_ms: float
    p95_ms: float


def disk_speed(directory: Path) -> DiskSpeed:
    """Read pages of a file that no cache holds; takes one to two seconds.

    Raises:
        OSError: no file can be written there.
    """
    took: list[float] = []
    with NamedTemporaryFile(dir=directory) as file:
        file.write(os.urandom(SAMPLE))
        file.flush()
        os.fsync(file.fileno())
        chosen = random.Random(0)  # noqa: S311  # any pages
        for _ in range(READS):
            # One now and then, as for a wake: a disk that is kept busy answers sooner.
            time.sleep(PAUSE_S)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            began = time.perf_counter()
            os.pread(file.fileno(), PAGE, chosen.randrange(SAMPLE // PAGE) * PAGE)
            took.append((time.perf_counter() - began) * 1000)
    return DiskSpeed(quantile(took, 0.5), quantile(took, 0.95))


def _run(program: str, *arguments: str | Path) -> None:
    environ = {**os.environ, "PATH": os.environ.get("PATH", "") + PATHS}
    try:
        subprocess.run(
            [program, *map(str, arguments)], env=environ, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise NoSwap(
            f"`{program} {arguments[-1]}` failed: {said.strip()}.",
            "Only root may do this, and not every file system can hold a swap file.",
        ) from error
