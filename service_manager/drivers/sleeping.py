"""Puts the processes of one service to sleep: frozen, and with its pages in swap where the machine can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.lowlevel import checkpoint

from service_manager.errors import SleepFailed
from service_manager.linux import capabilities as machine
from service_manager.linux import cgroup, filecache, madvise, pages, stopping
from service_manager.linux.capabilities import Capabilities, SwapKind
from service_manager.linux.hotset import DISK_SHARE, ZRAM_SHARE, HotSet
from service_manager.linux.members import members
from service_manager.linux.pages import Pages
from service_manager.linux.procfs import Stat
from service_manager.linux.ranges import Ranges, batches, both, minus, size
from service_manager.linux.usage import memory as memory_of
from service_manager.model import Tier
from service_manager.resources import MemoryUse

BATCH = 2 * 1024 * 1024
"""Bytes paged out before a wake is looked for; 1 to 4 ms on zram and on a disk."""

READ_BATCH = 128 * 1024
"""Bytes read from a disk before a wake is looked for."""

WRITTEN_S = 0.3
"""How long the disk is given to write what was paged out; pages still on their way can't be freed."""

RETRIES = 3
"""How often pages are tried again that the disk had not written by then."""

LEFT = 0.02
"""The share of what was paged out that may stay in memory; less is not worth another try."""


class ProcessSleeper:
    """The processes of one service; see `service_manager.drivers.protocol.Sleeper`.

    What takes longer than a wake may wait runs in steps of a few milliseconds in a worker thread: a sleep
    that is cancelled has ended, and the service runs, a few milliseconds later.

    Args:
        pid: its leader, of a session and a process group of its own.
        capabilities: of the machine.
        group: the directory of its control group, where it has one of its own.
    """

    def __init__(self, pid: int, capabilities: Capabilities, *, group: Path | None = None) -> None:
        self._pid = pid
        self._capabilities = capabilities
        self._group = group
        self._asleep = False
        self._stopped: tuple[Stat, ...] = ()
        self._paged: frozenset[int] = frozenset()
        self._hot: dict[int, HotSet] = {}
        self._share = ZRAM_SHARE if capabilities.swap is SwapKind.ZRAM else DISK_SHARE
        reclaims = group is not None and cgroup.can_reclaim(group)
        self.tiers: tuple[Tier, ...] = machine.tiers_possible(capabilities, reclaim=reclaims)
        self.missing: str = machine.missing(capabilities)

    async def sleep(self, tier: Tier) -> None:
        """Freeze it, then page out what the tier says; one that sleeps already sleeps deeper.

        Cancelled, it runs again.

        Raises:
            SleepFailed: it has ended, or can't sleep so; where it lives it is awake.
        """
        if tier not in self.tiers:
            raise SleepFailed(f"It can't sleep as {tier} here.", self.missing)
        done = False
        try:
            if not self._asleep:
                # A thread that has begun is waited for, cancelled or not: what it stopped has to be known.
                self._stopped = await to_thread.run_sync(stopping.stop, self._pid, self._group)
                self._asleep = True
            await checkpoint()
            if tier is not Tier.FROZEN:
                await self._page_out(hot=tier is Tier.PAGED_HOT)
            self._check_alive()
            done = True
        finally:
            if not done:
                self._resume()

    async def wake(self) -> None:
        """Let it run again, at once; its pages come back as it uses them.

        Raises:
            SleepFailed: it has ended.
        """
        self._resume()
        self._check_alive()

    async def memory(self) -> MemoryUse:
        """What all of its processes take now; a few milliseconds each."""
        return await to_thread.run_sync(self._memory)

    def _memory(self) -> MemoryUse:
        return memory_of([process.pid for process in members(self._pid, self._group)])

    def _resume(self) -> None:
        if self._asleep:
            self._asleep = False
            stopping.resume(self._pid, self._stopped, self._group)

    def _check_alive(self) -> None:
        if not stopping.lives(self._pid):
            raise SleepFailed(f"Process {self._pid} has ended.")

    async def _page_out(self, *, hot: bool) -> None:
        if not (self._capabilities.process_madvise and self._capabilities.nice):
            await self._reclaim()
            return
        known = await to_thread.run_sync(self._learn)
        self._paged = frozenset()
        kept = {pid: self._hot[pid].ranges if hot else () for pid in known}
        moved: dict[int, Ranges] = {}
        for pid, found in known.items():
            await self._bring_back(pid, both(kept[pid], found.swapped))
            moved[pid] = minus(found.present, kept[pid])
            await self._advise(pid, moved[pid])
            for batch in batches(found.of_files, READ_BATCH, madvise.IOV_MAX):
                await to_thread.run_sync(filecache.load, pid, found.files, batch)
        # Only a whole pass says that what is present at the next sleep has come back because it was needed.
        self._paged = frozenset(known)
        if self._capabilities.needs_second_pass:
            await self._empty_cache(moved)
        for pid, ranges in kept.items():
            stays = await to_thread.run_sync(_beside, pid, ranges)
            self._hot[pid] = replace(self._hot[pid], stays=stays)

    def _learn(self) -> dict[int, Pages]:
        """Where every page is now, and what has come back since the last paged sleep: what a wake needs."""
        found = {process.pid: pages.find(process.pid) for process in self._stopped}
        learned: dict[int, HotSet] = {}
        for pid, here in found.items():
            hot = self._hot.get(pid, HotSet(self._share, pages.PAGE))
            held = memory_of([pid])
            hot = hot.seen(held.pss + held.swap)
            # Pages of files are not kept: the cache has them.
            own = minus(here.present, here.of_files)
            learned[pid] = hot.learn(own, here.swapped) if pid in self._paged else hot
        self._hot = learned
        return found

    async def _bring_back(self, pid: int, ranges: Ranges) -> None:
        for batch in batches(ranges, READ_BATCH, madvise.IOV_MAX):
            await to_thread.run_sync(pages.touch, pid, batch)

    async def _advise(self, pid: int, ranges: Ranges) -> None:
        for batch in batches(ranges, BATCH, madvise.IOV_MAX):
            await to_thread.run_sync(madvise.page_out, pid, batch)

    async def _empty_cache(self, moved: Mapping[int, Ranges]) -> None:
        """Free what the swap cache holds: its pages are mapped again, unchanged, then dropped as clean."""
        await anyio.sleep(WRITTEN_S)
        cached: dict[int, Ranges] = {}
        for pid, ranges in moved.items():
            cached[pid] = both((await to_thread.run_sync(pages.find, pid)).swapped, ranges)
            for batch in batches(cached[pid], BATCH, madvise.IOV_MAX):
                await to_thread.run_sync(pages.touch, pid, batch)
                await to_thread.run_sync(madvise.page_out, pid, batch)
        for _ in range(RETRIES):
            unwritten = {
                pid: both((await to_thread.run_sync(pages.find, pid)).present, ranges)
                for pid, ranges in cached.items()
            }
            if sum(map(size, unwritten.values())) <= LEFT * sum(map(size, cached.values())):
                return
            await anyio.sleep(WRITTEN_S)
            for pid, ranges in unwritten.items():
                await self._advise(pid, ranges)

    async def _reclaim(self) -> None:
        """The way without the capability: the kernel chooses the pages of the control group."""
        assert self._group is not None
        left = await to_thread.run_sync(cgroup.charged, self._group)
        while left > 0 and await to_thread.run_sync(cgroup.reclaim, self._group, BATCH):
            left -= BATCH


def _beside(pid: int, ranges: Ranges) -> int:
    """What a process holds besides these pages of its own; what it shares counts in parts (PSS)."""
    return max(0, memory_of([pid]).pss - size(both(pages.find(pid).present, ranges)))
