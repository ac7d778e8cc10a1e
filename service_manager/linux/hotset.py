"""Which pages a service needs when it wakes, learned from those that came back after the last sleep; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from service_manager.linux.ranges import Ranges, both, first, minus, size, union

HOT_SHARE_OF_DISK = 0.28
"""The most that is kept of all a process has, where the rest is on a disk; measured in docs/benchmarks.md."""

HOT_SHARE_OF_ZRAM = 0.15
"""The same where the rest is held compressed, at about a third of its size; that counts as well."""

GENERATIONS = 8
"""So many cycles are told apart; what was needed longer ago counts as one."""


@dataclass(frozen=True, slots=True)
class HotSet:
    """The pages of one process that stay in memory while it sleeps.

    Attributes:
        generations: what came back after each sleep, the newest first; no page is in two of them.
        total: bytes of all the process has, the most that was seen: pages of files that were paged out are
            counted nowhere until they come back.
        share: the most that is kept of them.
        page: bytes that stay or go together.
    """

    generations: tuple[Ranges, ...] = ()
    total: int = 0
    share: float = HOT_SHARE_OF_DISK
    page: int = 1

    @property
    def ranges(self) -> Ranges:
        """All of them."""
        return union(span for ranges in self.generations for span in ranges)

    def seen(self, total: int) -> HotSet:
        """The same pages, of a process that has so many bytes now."""
        return replace(self, total=max(self.total, total))

    def learn(self, present: Ranges) -> HotSet:
        """What to keep the next time, after a wake from a sleep that left only this set in memory.

        A page that is present and was not kept was needed. Of the ones that were kept nobody knows: the
        newest stay when there are too many, and one that is dropped and needed comes back as the newest.
        Before the first sleep nothing is known of any page: as many stay as there is room for.
        """
        fresh = minus(present, self.ranges)
        aged = [fresh, *(both(old, present) for old in self.generations)]
        recent, older = aged[: GENERATIONS - 1], aged[GENERATIONS - 1 :]
        oldest = union(span for ranges in older for span in ranges)
        room = int(self.total * self.share) // self.page * self.page
        kept: list[Ranges] = []
        for ranges in (*recent, oldest):
            taken = first(ranges, room)
            room -= size(taken)
            if taken:
                kept.append(taken)
        return replace(self, generations=tuple(kept))
