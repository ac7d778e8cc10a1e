"""What a model's host can carry: memory and cores from the operating system, a GPU as Ollama reports it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

GB = 10**9

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container's memory limit stands, in version 2 and version 1 of control groups."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """A host's means.

    Attributes:
        ram_bytes: its memory; a container's limit where that is less.
        cores: CPUs this process may use.
        vram_bytes: memory of the GPU that models are known to occupy; 0 without a known GPU.
        assumed: whether memory and cores are only assumed, because the host is another machine.
    """

    ram_bytes: int
    cores: int
    vram_bytes: int = 0
    assumed: bool = False

    def __str__(self) -> str:
        gpu = f"GPU with at least {self.vram_bytes / GB:.1f} GB" if self.vram_bytes else "no GPU known"
        return (
            f"{self.ram_bytes / GB:.0f} GB, {self.cores} cores{' (assumed)' if self.assumed else ''}, {gpu}"
        )


ORDINARY = Hardware(16 * GB, 4, assumed=True)
"""What is assumed of a host that can't be asked for its memory and cores: an ordinary one without a GPU."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that a host has in memory, as `/api/ps` says."""

    name: str
    vram_bytes: int = 0


def this_machine() -> Hardware:
    """The means of the machine this process runs on; `ORDINARY` where the system does not say."""
    try:
        ram = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        ram = 0
    limits = [limit for path in _CGROUP_LIMITS if (limit := _limit(path))]
    ram = min([ram, *limits]) if ram > 0 else min(limits, default=ORDINARY.ram_bytes)
    return Hardware(ram, _cores())


def of_host(url: str, loaded: Sequence[Loaded], here: Hardware) -> Hardware:
    """The means of an Ollama host: this machine's if it is local, else assumed; a GPU where one is in use."""
    means = here if is_local(url) else ORDINARY
    return replace(means, vram_bytes=sum(model.vram_bytes for model in loaded))


def is_local(url: str) -> bool:
    """Whether an address, as in OLLAMA_HOST, is of this machine; the empty one is."""
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    except ValueError:
        return False
    if host in ("", "localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    # A server's own OLLAMA_HOST may hold the address it listens on, which is every one.
    return address.is_loopback or address.is_unspecified


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or ORDINARY.cores


def _limit(path: str) -> int:
    """The number in a file; 0 when there is none ("max", or no such file)."""
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
