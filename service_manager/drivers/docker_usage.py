"""What a container uses, out of the statistics of its engine; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from service_manager.drivers.json_parts import part, parts
from service_manager.resources import MemoryUse, ResourceUse


def usage_of(stats: Mapping[str, Any]) -> ResourceUse:
    """Read an answer of `ContainerStats` (Docker Engine API), of version 1 or 2 of control groups.

    What it leaves out is 0. Its memory is what is charged to the container, each shared page to one owner.
    """
    disk = parts(stats, "blkio_stats", "io_service_bytes_recursive")
    # Absent for a container in the machine's own network, where there is nothing of its own to count.
    networks: dict[str, dict[str, Any]] | None = stats.get("networks")
    received = sent = None
    if networks is not None:
        received, sent = _sum(networks.values(), "rx_bytes"), _sum(networks.values(), "tx_bytes")
    return ResourceUse(
        cpu_s=part(stats, "cpu_stats", "cpu_usage").get("total_usage", 0) / 1e9,
        memory=MemoryUse(_resident(part(stats, "memory_stats"))),
        disk_read=_sum((entry for entry in disk if str(entry.get("op")).lower() == "read"), "value"),
        disk_written=_sum((entry for entry in disk if str(entry.get("op")).lower() == "write"), "value"),
        received=received,
        sent=sent,
        processes=part(stats, "pids_stats").get("current") or 0,
    )


def _resident(memory: Mapping[str, Any]) -> int:
    """What it takes without files that could be dropped, as `docker stats` shows it."""
    details = part(memory, "stats")
    droppable = details.get("total_inactive_file", details.get("inactive_file", 0))
    return max(0, memory.get("usage", 0) - droppable)


def _sum(entries: Iterable[Mapping[str, Any]], key: str) -> int:
    return sum(int(entry.get(key) or 0) for entry in entries)
