"""Sleeps and wakes of one service, measured from the request to its answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from service_manager.bench.work import Work
from service_manager.manager import ServiceManager
from service_manager.model import Priority, Tier
from service_manager.policy.tiers import quantile

ASLEEP_S = 0.2
"""How long each sleep lasts; processor time is compared over it."""


MOST_KEPT = 0.4
"""The share of its memory that a sleeping service may hold."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one service.

    Attributes:
        tier: the tier most of its wakes were from.
        wake_p50_ms, wake_p95_ms: from the request to the answer of a tool.
        warm_p50_ms: the same requests while it is awake.
        target_ms: what a wake may take.
        awake, asleep: bytes of physical memory it holds (PSS and compressed).
        cpu_s: processor time it took while asleep, all cycles together.
        intact: after every wake it knew what it knew before.
    """

    service: str
    priority: Priority
    tier: Tier
    cycles: int
    wake_p50_ms: float
    wake_p95_ms: float
    warm_p50_ms: float
    target_ms: float
    awake: int
    asleep: int
    cpu_s: float
    intact: bool

    @property
    def kept(self) -> float:
        """The share of its memory that it holds asleep."""
        return self.asleep / self.awake if self.awake else 1.0

    @property
    def met(self) -> bool:
        """Whether its wakes meet the target."""
        return self.wake_p95_ms <= self.target_ms

    @property
    def reached(self) -> bool:
        """Whether all that sleep promises was kept."""
        return self.met and self.intact and self.kept <= MOST_KEPT and self.cpu_s == 0


async def measure(
    manager: ServiceManager,
    name: str,
    work: Work,
    cycles: int,
    target_ms: float,
    progress: Callable[[str], None],
) -> Row:
    """Let a service sleep and wake so many times.

    Args:
        manager: runs it; open.
        name: the service.
        work: what it is asked.
        cycles: how many wakes are measured.
        target_ms: what a wake may take.
        progress: told what is measured.
    """
    number = 0
    intact = True

    async def ask() -> float:
        nonlocal number, intact
        call = work.call(number)
        number += 1
        began = time.perf_counter()
        async with manager.lease(name) as session:
            answer = await session.request("tools/call", {"name": call.tool, "arguments": call.arguments})
        took_ms = (time.perf_counter() - began) * 1000
        intact = intact and work.intact(answer, call)
        return took_ms

    progress(f"{name}: starting")
    for _ in range(4):
        await ask()
    warm = [await ask() for _ in range(10)]
    progress(f"{name}: finding its tier")
    await manager.sleep(name)
    # What a wake needs is learned from the first one, with each of its tools.
    for _ in range(2):
        await ask()
        await manager.sleep(name)
    wakes: list[float] = []
    cpu_s = 0.0
    awake = asleep = 0
    tiers: list[Tier] = []
    for cycle in range(cycles):
        progress(f"{name}: cycle {cycle + 1} of {cycles}")
        before = (await manager.usage()).get(name)
        await anyio.sleep(ASLEEP_S)
        after = (await manager.usage()).get(name)
        if before is not None and after is not None:
            cpu_s += after.cpu_s - before.cpu_s
        sleeping = manager.one(name).sleeping
        tiers.append(sleeping.tier)
        awake += sleeping.awake.held if sleeping.awake else 0
        asleep += sleeping.asleep.held if sleeping.asleep else 0
        wakes.append(await ask())
        await manager.sleep(name)
    return Row(
        name,
        manager.spec(name).priority,
        max(set(tiers), key=tiers.count),
        cycles,
        quantile(wakes, 0.5),
        quantile(wakes, 0.95),
        quantile(warm, 0.5),
        target_ms,
        awake // cycles,
        asleep // cycles,
        cpu_s,
        intact,
    )
