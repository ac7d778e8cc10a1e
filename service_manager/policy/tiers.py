"""Which tier a service sleeps in, and when it leaves one that wakes too slowly; pure, times as told.

`choose` picks by what was measured. A `Ladder` keeps what was measured and takes a tier away that fails.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from service_manager.linux.capabilities import SwapKind
from service_manager.model import Priority, Tier
from service_manager.resources import MemoryUse
from service_manager.status import WakeRecord

DEPTH = {tier: depth for depth, tier in enumerate(Tier)}
"""How deep a tier is; `Tier` names them in this order."""

WINDOW = 50
"""So many wakes of each tier are kept."""

JUDGED = 20
"""A p95 of fewer wakes is only the worst of them. Until then the median counts, and misses in a row."""

MISSES = 3
"""So many misses in a row take a service a tier up."""

RETRY_S = 3600.0
RETRY_LIMIT_S = 24 * 3600.0
"""A tier that failed is left alone for RETRY_S, twice as long each time it fails again, up to the limit."""

WORTHWHILE = 0.9
"""A tier that keeps more than this of the memory gives nothing for its slower wake: frozen is better."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one tier was measured to cost and to give.

    Attributes:
        wakes: how many wakes stand behind the figures.
        p50_ms, p95_ms: of these wakes, from the request to its answer.
        awake, asleep: bytes of physical memory it held before and in its last sleep (see `MemoryUse.held`).
    """

    tier: Tier
    wakes: int
    p50_ms: float
    p95_ms: float
    awake: int
    asleep: int

    @property
    def pace_ms(self) -> float:
        """What a wake takes for the choice: p95, or the median while wakes are few."""
        return self.p95_ms if self.wakes >= JUDGED else self.p50_ms

    def fits(self, target_ms: float) -> bool:
        """Whether it wakes in time, as far as one knows.

        Of few wakes the slow ones may be the machine's; a tier that does not wake in time is barred by its
        `Ladder` after `MISSES` in a row, and tried again later, which one never chosen would not be.
        """
        return self.wakes < JUDGED or self.p95_ms <= target_ms

    @property
    def kept(self) -> float:
        """The share of its memory it holds asleep; 1.0 when nothing is known."""
        return self.asleep / self.awake if self.awake else 1.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A tier, and why: one sentence."""

    tier: Tier
    reason: str


@dataclass(frozen=True, slots=True)
class TierRecord:
    """What is known of the wakes of one tier; milliseconds, None before the first."""

    wakes: int = 0
    missed: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None


def offered(sleeper: Iterable[Tier], *, stateless: bool, endless: bool = False) -> tuple[Tier, ...]:
    """The tiers a service can be in: its sleeper's, WARM always, RESPAWN when nothing is lost.

    Args:
        sleeper: those of `service_manager.drivers.protocol.Sleeper.tiers`.
        stateless: the service may be stopped.
        endless: it can't be stopped and started by us (it runs elsewhere).
    """
    tiers = {Tier.WARM, *sleeper}
    if stateless and not endless:
        tiers.add(Tier.RESPAWN)
    return tuple(sorted(tiers, key=DEPTH.__getitem__))


def usual(tiers: Sequence[Tier], priority: Priority, swap: SwapKind) -> Tier:
    """The tier before anything was measured: paged by the kind of swap, else stopped, else frozen.

    On zram all pages come back fast. From a disk they don't, and a critical service does not wait for zram
    either: then the pages a wake needs stay.
    """
    order = (Tier.PAGED_FULL, Tier.PAGED_HOT, Tier.RESPAWN, Tier.FROZEN)
    return next((tier for tier in order if tier in _open(tiers, priority, swap, ())), Tier.WARM)


def choose(
    tiers: Sequence[Tier],
    *,
    priority: Priority,
    swap: SwapKind,
    target_ms: float,
    fixed: Tier | None = None,
    calibrations: Iterable[Calibration] = (),
    barred: Collection[Tier] = (),
    missing: str = "",
) -> Choice:
    """The tier that holds the least memory of those that wake within the target.

    Args:
        tiers: those it can enter; see `offered`.
        priority: of the service.
        swap: what the machine's swap is on.
        target_ms: how long a wake may take.
        fixed: the tier its specification asks for, measured or not; CHECKPOINT only ever so.
        calibrations: what was measured, at most one for each tier.
        barred: tiers that failed; see `Ladder.barred`.
        missing: what a deeper tier lacks, to be told where the fixed one can't be had.
    """
    if fixed is not None:
        return _fixed(tiers, fixed, missing)
    open_tiers = _open(tiers, priority, swap, barred)
    if not open_tiers:
        why = "every deeper tier missed its wake target" if barred else "it can't sleep here"
        return Choice(Tier.WARM, f"It stays awake: {why}.")
    measured = {found.tier: found for found in calibrations if found.tier in open_tiers}
    first = usual(open_tiers, priority, swap)
    if first not in measured:
        return Choice(first, f"{first} is the usual tier {_where(first, swap)}; it is yet to be measured.")
    fitting = [found for found in measured.values() if found.fits(target_ms)]
    if not fitting:
        return _lighter(open_tiers, measured, target_ms)
    best = min(fitting, key=lambda found: (found.kept, DEPTH[found.tier]))
    if best.tier is not Tier.FROZEN and best.kept > WORTHWHILE and Tier.FROZEN in open_tiers:
        gained = f"{best.tier} frees only {max(0.0, 1 - best.kept):.0%} of its memory"
        return Choice(Tier.FROZEN, f"{gained}, so that it is only frozen, which wakes faster.")
    return Choice(
        best.tier,
        f"It wakes in {best.pace_ms:.0f} ms (target {target_ms:.0f} ms) "
        f"and keeps {best.kept:.0%} of its memory, the least of the tiers that meet the target.",
    )


def unmeasured(
    tiers: Sequence[Tier],
    calibrations: Iterable[Calibration],
    *,
    priority: Priority,
    swap: SwapKind,
    fixed: Tier | None = None,
    barred: Collection[Tier] = (),
) -> tuple[Tier, ...]:
    """What is worth measuring, the usual tier first, then the deeper ones: none wakes faster than frozen.

    A tier that services.yml fixes is entered whatever is measured, and tried only to learn what a wake needs.
    """
    known = {found.tier for found in calibrations}
    if fixed is not None:
        return (fixed,) if fixed is Tier.PAGED_HOT and fixed in tiers and fixed not in known else ()
    open_tiers = _open(tiers, priority, swap, barred)
    first = usual(open_tiers, priority, swap)
    ordered = sorted(open_tiers, key=lambda tier: (tier is not first, DEPTH[tier]))
    return tuple(tier for tier in ordered if tier not in known and tier is not Tier.FROZEN)


def quantile(values: Collection[float], share: float) -> float:
    """The nearest-rank quantile: the smallest value that at least this share of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Ladder:
    """What one service's sleeps and wakes were measured to be, and the tiers it may not enter for a while.

    Calls come in the order of time; `now` is in seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._window: dict[Tier, deque[float]] = {}
        self._late: dict[Tier, deque[bool]] = {}
        self._counts: dict[Tier, tuple[int, int]] = {}
        self._memory: dict[Tier, tuple[int, int]] = {}
        self._in_a_row: dict[Tier, int] = {}
        self._failures: dict[Tier, int] = {}
        self._until: dict[Tier, float] = {}

    def slept(self, tier: Tier, awake: MemoryUse, asleep: MemoryUse) -> None:
        """Keep what a sleep was measured to give."""
        self._memory[tier] = (awake.held, asleep.held)

    def woke(self, record: WakeRecord, now: float) -> str:
        """Keep a wake; why the service has to leave the tier if it does, one sentence, else empty.

        A tier is left after `MISSES` misses in a row, or when more than one in twenty of `JUDGED` or more
        wakes missed; so are all deeper ones. It may be tried again after `RETRY_S`, as if nothing had been
        measured.
        """
        tier = record.tier
        if tier is Tier.WARM or record.target_met is None:
            return ""
        missed = not record.target_met
        window = self._window.setdefault(tier, deque(maxlen=WINDOW))
        late = self._late.setdefault(tier, deque(maxlen=WINDOW))
        window.append(record.total_ms)
        late.append(missed)
        wakes, misses = self._counts.get(tier, (0, 0))
        self._counts[tier] = (wakes + 1, misses + missed)
        self._in_a_row[tier] = self._in_a_row.get(tier, 0) + 1 if missed else 0
        target = "" if record.target_ms is None else f" of {record.target_ms:.0f} ms"
        if self._in_a_row[tier] >= MISSES:
            return self._leave(tier, now, f"{MISSES} wakes in a row missed the target{target}")
        if len(late) >= JUDGED and sum(late) > len(late) / 20:
            return self._leave(tier, now, f"{sum(late)} of {len(late)} wakes missed the target{target}")
        if len(late) == WINDOW and not any(late):
            self._failures.pop(tier, None)
        return ""

    def barred(self, now: float) -> frozenset[Tier]:
        """The tiers it may not enter at this time: those that failed, and all deeper ones."""
        failed = [DEPTH[tier] for tier, until in self._until.items() if now < until]
        return frozenset(tier for tier in Tier if failed and DEPTH[tier] >= min(failed))

    def record(self, tier: Tier) -> TierRecord:
        """The wakes of a tier: how many there were, and the percentiles of the last ones."""
        wakes, missed = self._counts.get(tier, (0, 0))
        window = self._window.get(tier)
        if not window:
            return TierRecord(wakes, missed)
        return TierRecord(wakes, missed, quantile(window, 0.5), quantile(window, 0.95))

    def calibrations(self) -> tuple[Calibration, ...]:
        """The tiers of which both a sleep and a wake were measured."""
        return tuple(
            Calibration(tier, len(window), quantile(window, 0.5), quantile(window, 0.95), *self._memory[tier])
            for tier, window in self._window.items()
            if window and tier in self._memory
        )

    def _leave(self, tier: Tier, now: float, why: str) -> str:
        failures = self._failures.get(tier, 0)
        self._failures[tier] = failures + 1
        wait_s = min(RETRY_LIMIT_S, RETRY_S * 2.0 ** min(failures, 10))
        self._until[tier] = now + wait_s
        self._in_a_row[tier] = 0
        self._window.pop(tier, None)
        self._late.pop(tier, None)
        return f"{tier} is left for a lighter tier: {why}. It is tried again in {wait_s / 60:.0f} min."


def _open(tiers: Sequence[Tier], priority: Priority, swap: SwapKind, barred: Collection[Tier]) -> list[Tier]:
    """The tiers that may be chosen: those that did not fail, and come back fast enough to be tried at all.

    All pages from a disk took 145 to 247 ms (SLEEP.md), nearly all of what a normal service may take, so that
    a busy disk makes every wake a late one; and a critical service has no time for all pages even from zram.
    """
    closed = {Tier.WARM, Tier.CHECKPOINT, *barred}
    if swap is not SwapKind.ZRAM or priority is Priority.CRITICAL:
        closed.add(Tier.PAGED_FULL)
    return [tier for tier in tiers if tier not in closed]


def _fixed(tiers: Sequence[Tier], fixed: Tier, missing: str) -> Choice:
    if fixed in tiers:
        return Choice(fixed, "services.yml says so.")
    lighter = [tier for tier in tiers if DEPTH[tier] < DEPTH[fixed] and tier is not Tier.RESPAWN]
    tier = max(lighter, key=DEPTH.__getitem__, default=Tier.WARM)
    return Choice(tier, f"services.yml says {fixed}, which can't be had here. {missing}".strip())


def _lighter(tiers: Sequence[Tier], measured: dict[Tier, Calibration], target_ms: float) -> Choice:
    """After everything that was measured was too slow: a tier that has not been, or none."""
    quickest = min(measured.values(), key=lambda found: found.pace_ms)
    slow = f"{quickest.tier} takes {quickest.pace_ms:.0f} ms to wake (target {target_ms:.0f} ms)"
    least = min(DEPTH[tier] for tier in measured)
    untried = [tier for tier in tiers if tier not in measured and DEPTH[tier] < least]
    if untried:
        tier = max(untried, key=DEPTH.__getitem__)
        return Choice(tier, f"{slow}; {tier} is the next lighter tier.")
    return Choice(Tier.WARM, f"It stays awake: {slow}, and nothing wakes faster.")


def _where(tier: Tier, swap: SwapKind) -> str:
    if tier in (Tier.PAGED_HOT, Tier.PAGED_FULL):
        return f"with swap on {'zram' if swap is SwapKind.ZRAM else 'a disk'}"
    return "without swap to page out to" if swap is SwapKind.NONE else "where nothing can be paged out"
