"""Which pages a service needs when it wakes, learned from those that came back after the last sleep; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from service_manager.linux.ranges import Ranges, both, first, minus, size, union

DISK_SHARE = 0.32
"""The most of a process that is in memory while the rest is on a disk; see docs/benchmarks.md."""

ZRAM_SHARE = 0.1
"""The same while the rest is held compressed, at about a third of its size; that counts as well."""

GENERATIONS = 8
"""So many cycles are told apart; what was needed longer ago counts as one."""


@dataclass(frozen=True, slots=True)
class HotSet:
    """The pages of one process that stay in memory while it sleeps.

    Attributes:
        share: the most of its pages that is in memory then, those included that can't be paged out.
        page: bytes that stay or go together.
        generations: what came back after each sleep, the newest first; no page is in two of them.
        spare: pages of which nothing is known, kept because there was room.
        total: bytes of all the process has, what it shares in parts; the most that was seen: pages of files
            that were paged out are counted nowhere until they come back.
        stays: bytes that stay whatever is done, such as its part of pages that others use as well.
    """

    share: float = DISK_SHARE
    page: int = 1
    generations: tuple[Ranges, ...] = ()
    spare: Ranges = ()
    total: int = 0
    stays: int = 0

    @property
    def ranges(self) -> Ranges:
        """All of them."""
        return union(span for ranges in (*self.generations, self.spare) for span in ranges)

    def seen(self, total: int) -> HotSet:
        """The same pages, of a process that has so many bytes now."""
        return replace(self, total=max(self.total, total))

    def learn(self, present: Ranges, swapped: Ranges = ()) -> HotSet:
        """What to keep the next time, after a wake from a sleep that left only this set in memory.

        A page that is present and was not kept was needed. Of the ones that were kept nobody knows: the
        newest stay when there are too many, and one that is dropped and needed comes back as the newest.

        Args:
            present: pages in memory.
            swapped: pages in swap. The first time, as many of them as there is room for are kept too, to be
                dropped before all others: what is needed once in a while, as by a garbage collector, is
                among them.
        """
        fresh = minus(present, self.ranges)
        aged = [fresh, *(both(old, present) for old in self.generations)]
        recent, older = aged[: GENERATIONS - 1], aged[GENERATIONS - 1 :]
        oldest = union(span for ranges in older for span in ranges)
        spare = both(self.spare, present) if self.generations or self.spare else minus(swapped, fresh)
        room = max(0, int(self.total * self.share) - self.stays) // self.page * self.page
        kept: list[Ranges] = []
        for ranges in (*recent, oldest):
            taken = first(ranges, room)
            room -= size(taken)
            if taken:
                kept.append(taken)
        return replace(self, generations=tuple(kept), spare=first(spare, room))
