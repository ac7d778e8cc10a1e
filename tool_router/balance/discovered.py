"""Heads that are found by DNS: they come and go with the addresses of a name."""

from __future__ import annotations

import math
from collections.abc import Callable
from urllib.parse import urlsplit

import anyio

from tool_router.balance.discovery import Address, Change, Discovery, Lookup
from tool_router.balance.pool import Pool
from tool_router.balance.target_state import TargetSpec
from tool_router.balance.targets import Targets
from tool_router.gateway.protocol import Gateway

LEAST_WEIGHT = 0.01
"""An SRV record of weight 0 gets hardly any call, not none (RFC 2782)."""

Make = Callable[[Address], tuple[TargetSpec, Gateway]]
"""Makes the head at an address."""


class DiscoveredHeads:
    """Puts a target into the pool for each address of a name.

    Until the first answer the head that was named stands for all of them; then it goes, since its name leads
    to the same places.

    Args:
        lookup: asks for the addresses.
        pool: the targets.
        targets: holds their connections.
        make: makes the head at an address.
    """

    def __init__(self, lookup: Lookup, pool: Pool[Gateway], targets: Targets, make: Make) -> None:
        self._lookup = lookup
        self._pool = pool
        self._targets = targets
        self._make = make
        self._named: str | None = pool.members()[0].name
        self._names: dict[str, str] = {}

    async def run(self) -> None:
        """Follow the name until cancelled."""
        send, receive = anyio.create_memory_object_stream[Change](math.inf)
        with send, receive:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(Discovery(self._lookup, send.send_nowait).run)
                async for change in receive:
                    await self._follow(change)

    async def _follow(self, change: Change) -> None:
        for address in (*change.added, *change.changed):
            spec, head = self._make(address)
            member = await self._targets.add(spec, head)
            member.discovered, member.priority = True, address.priority
            self._names[address.key] = spec.name
        for address in change.removed:
            self._targets.remove(self._names.pop(address.key, address.key))
        if self._named is not None and self._names:
            self._targets.remove(self._named)
            self._named = None


def asked_name(discover: str, url: str) -> tuple[str, int, bool]:
    """What is looked up: the name, the port of its addresses, and whether SRV records are asked for.

    Args:
        discover: ``host`` for the host of `url`; else the name of an SRV record.
        url: the gateway's address.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (parts.hostname or "", port, False) if discover == "host" else (discover, port, True)


def weighed(spec: TargetSpec, address: Address) -> float:
    """The weight of a head: that of its SRV record where it has one."""
    if address.source == address.name:
        return spec.weight
    return spec.weight * max(float(address.weight), LEAST_WEIGHT)
