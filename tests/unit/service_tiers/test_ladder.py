"""What is kept of wakes, and when a tier is left: after three misses in a row, for an hour, then two."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service_manager.model import Tier
from service_manager.policy.tiers import (
    DEPTH,
    JUDGED,
    MISSES,
    RETRY_LIMIT_S,
    RETRY_S,
    WINDOW,
    Ladder,
    TierRecord,
    quantile,
)
from service_manager.resources import MemoryUse
from service_manager.status import WakeRecord

TARGET_MS = 100.0
HOUR = 3600.0
SLEEPING = [tier for tier in Tier if tier is not Tier.WARM]


def wake(ms: float, tier: Tier = Tier.PAGED_HOT) -> WakeRecord:
    return WakeRecord(tier, resume_ms=ms, target_ms=TARGET_MS, target_met=ms <= TARGET_MS)


def miss_thrice(ladder: Ladder, now: float, tier: Tier = Tier.PAGED_HOT) -> str:
    said = [ladder.woke(wake(500, tier), now) for _ in range(MISSES)]
    assert not any(said[:-1])
    return said[-1]


def test_three_misses_in_a_row_bar_the_tier_and_all_deeper_ones_and_say_so() -> None:
    ladder = Ladder()
    said = miss_thrice(ladder, 0.0)
    assert said == (
        "paged_hot is left for a lighter tier: 3 wakes in a row missed the target of 100 ms. "
        "It is tried again in 60 min."
    )
    assert ladder.barred(1.0) == {Tier.PAGED_HOT, Tier.PAGED_FULL, Tier.RESPAWN, Tier.CHECKPOINT}


def test_misses_with_a_hit_between_them_bar_nothing() -> None:
    ladder = Ladder()
    for ms in (500, 500, 5, 500, 500, 5):
        assert not ladder.woke(wake(ms), 0.0)
    assert not ladder.barred(0.0)


def test_more_than_one_miss_in_twenty_bars_the_tier_once_there_are_enough() -> None:
    ladder = Ladder()
    said = [ladder.woke(wake(500 if n in (3, 12) else 5), 0.0) for n in range(JUDGED)]
    assert [n for n, sentence in enumerate(said) if sentence] == [JUDGED - 1]
    assert "2 of 20 wakes missed" in said[-1]


def test_a_barred_tier_is_tried_again_after_an_hour_as_if_new_and_then_after_twice_as_long() -> None:
    ladder = Ladder()
    now, waits = 0.0, list[float]()
    for _ in range(7):
        miss_thrice(ladder, now)
        assert ladder.record(Tier.PAGED_HOT).p95_ms is None
        wait = next(hours * HOUR for hours in range(1, 30) if not ladder.barred(now + hours * HOUR))
        assert ladder.barred(now + wait - 1)
        waits.append(wait)
        now += wait
    assert waits == [
        RETRY_S,
        2 * RETRY_S,
        4 * RETRY_S,
        8 * RETRY_S,
        16 * RETRY_S,
        RETRY_LIMIT_S,
        RETRY_LIMIT_S,
    ]


def test_failures_are_forgotten_after_a_window_without_a_miss() -> None:
    ladder = Ladder()
    miss_thrice(ladder, 0.0)
    for _ in range(WINDOW):
        ladder.woke(wake(5), HOUR)
    miss_thrice(ladder, HOUR)
    assert not ladder.barred(HOUR + RETRY_S)


def test_figures_are_those_of_the_last_wakes_and_counts_those_of_all() -> None:
    ladder = Ladder()
    ladder.woke(wake(90), 0.0)
    for ms in range(1, WINDOW + 1):
        ladder.woke(wake(ms), 0.0)
    assert ladder.record(Tier.PAGED_HOT) == TierRecord(WINDOW + 1, 0, 25.0, 48.0)
    assert ladder.record(Tier.FROZEN) == TierRecord()


def test_a_tier_is_calibrated_once_it_has_slept_and_woken() -> None:
    ladder = Ladder()
    ladder.woke(wake(10), 0.0)
    assert ladder.calibrations() == ()
    ladder.slept(Tier.PAGED_HOT, MemoryUse(100), MemoryUse(10, swap=90, compressed=20))
    (found,) = ladder.calibrations()
    assert (found.tier, found.wakes, found.p95_ms, found.kept) == (Tier.PAGED_HOT, 1, 10.0, 0.3)


@pytest.mark.parametrize(
    "record", [WakeRecord(Tier.WARM, 500, target_met=False), WakeRecord(Tier.FROZEN, 500)]
)
def test_wakes_of_what_did_not_sleep_or_was_not_judged_are_not_counted(record: WakeRecord) -> None:
    ladder = Ladder()
    for _ in range(10):
        ladder.woke(record, 0.0)
    assert not ladder.barred(0.0)
    assert ladder.record(record.tier) == TierRecord()


@pytest.mark.parametrize(("share", "expected"), [(0.5, 10), (0.95, 19), (0.96, 20), (0.0, 1), (1.0, 20)])
def test_a_quantile_is_one_of_the_values(share: float, expected: int) -> None:
    assert quantile(range(1, 21), share) == expected


class LadderMachine(RuleBasedStateMachine):
    """Any wakes at any times, beside a plain model of the rules."""

    def __init__(self) -> None:
        super().__init__()
        self.ladder = Ladder()
        self.now = 0.0
        self.since: dict[Tier, list[bool]] = defaultdict(list)
        self.until: dict[Tier, float] = {}
        self.failures: dict[Tier, int] = defaultdict(int)
        self.counts: dict[Tier, int] = defaultdict(int)

    @rule(
        tier=st.sampled_from(SLEEPING),
        ms=st.sampled_from([1.0, 99.0, 101.0, 900.0]),
        times=st.integers(1, 30),
    )
    def woken(self, tier: Tier, ms: float, times: int) -> None:
        for _ in range(times):
            missed = ms > TARGET_MS
            recent = [*self.since[tier], missed][-WINDOW:]
            self.since[tier] = recent
            self.counts[tier] += 1
            leaves = recent[-MISSES:] == [True] * MISSES or (
                len(recent) >= JUDGED and sum(recent) * 20 > len(recent)
            )
            said = self.ladder.woke(wake(ms, tier), self.now)
            assert bool(said) == leaves
            if leaves:
                self.until[tier] = self.now + min(RETRY_LIMIT_S, RETRY_S * 2 ** self.failures[tier])
                self.failures[tier] += 1
                self.since[tier] = []
            elif len(recent) == WINDOW and not any(recent):
                self.failures[tier] = 0

    @rule(seconds=st.sampled_from([1.0, 600.0, RETRY_S - 1, RETRY_S, RETRY_LIMIT_S]))
    def passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def bars_what_failed_and_all_that_is_deeper(self) -> None:
        failed = [tier for tier, until in self.until.items() if self.now < until]
        expected = {tier for tier in Tier if any(DEPTH[tier] >= DEPTH[bad] for bad in failed)}
        assert self.ladder.barred(self.now) == expected
        assert Tier.WARM not in expected

    @invariant()
    def counts_every_wake(self) -> None:
        for tier in SLEEPING:
            record = self.ladder.record(tier)
            assert record.wakes == self.counts[tier]
            assert record.missed <= record.wakes


TestLadderMachine = LadderMachine.TestCase
TestLadderMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
