"""Which tier a service sleeps in: the usual one until it is measured, then the best that wakes in time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_manager.linux.capabilities import SwapKind
from service_manager.model import Priority, Tier
from service_manager.policy.tiers import JUDGED, Calibration, choose, offered, unmeasured, usual

ALL = (Tier.WARM, Tier.FROZEN, Tier.PAGED_HOT, Tier.PAGED_FULL, Tier.RESPAWN)
STATEFUL = ALL[:-1]
BARE = (Tier.WARM, Tier.FROZEN)
MB = 2**20


def measured(tier: Tier, p95_ms: float, asleep: int, *, p50_ms: float | None = None, wakes: int = JUDGED):
    return Calibration(tier, wakes, p95_ms if p50_ms is None else p50_ms, p95_ms, 100 * MB, asleep * MB)


def chosen(
    *calibrations: Calibration,
    tiers: tuple[Tier, ...] = STATEFUL,
    priority: Priority = Priority.NORMAL,
    swap: SwapKind = SwapKind.DISK,
    target_ms: float = 200.0,
    barred: frozenset[Tier] = frozenset(),
) -> Tier:
    found = choose(
        tiers, priority=priority, swap=swap, target_ms=target_ms, calibrations=calibrations, barred=barred
    )
    assert found.reason.endswith(".")
    return found.tier


@pytest.mark.parametrize(
    ("tiers", "priority", "swap", "expected"),
    [
        (STATEFUL, Priority.NORMAL, SwapKind.DISK, Tier.PAGED_HOT),
        (STATEFUL, Priority.CRITICAL, SwapKind.DISK, Tier.PAGED_HOT),
        (STATEFUL, Priority.NORMAL, SwapKind.MIXED, Tier.PAGED_HOT),
        (STATEFUL, Priority.LOW, SwapKind.ZRAM, Tier.PAGED_FULL),
        (STATEFUL, Priority.CRITICAL, SwapKind.ZRAM, Tier.PAGED_HOT),
        (ALL, Priority.NORMAL, SwapKind.DISK, Tier.PAGED_HOT),
        (BARE, Priority.NORMAL, SwapKind.NONE, Tier.FROZEN),
        ((*BARE, Tier.RESPAWN), Priority.NORMAL, SwapKind.NONE, Tier.RESPAWN),
        ((Tier.WARM, Tier.FROZEN, Tier.PAGED_FULL), Priority.NORMAL, SwapKind.DISK, Tier.FROZEN),
        ((Tier.WARM,), Priority.NORMAL, SwapKind.NONE, Tier.WARM),
    ],
)
def test_the_usual_tier_is_taken_before_anything_is_measured(
    tiers: tuple[Tier, ...], priority: Priority, swap: SwapKind, expected: Tier
) -> None:
    assert chosen(tiers=tiers, priority=priority, swap=swap) is expected
    assert usual(tiers, priority, swap) is expected


def test_the_least_memory_wins_among_those_that_wake_in_time() -> None:
    full, hot = measured(Tier.PAGED_FULL, 190, 5), measured(Tier.PAGED_HOT, 13, 27)
    assert chosen(hot, full, swap=SwapKind.ZRAM) is Tier.PAGED_FULL
    assert chosen(hot, full, swap=SwapKind.ZRAM, target_ms=100) is Tier.PAGED_HOT


@pytest.mark.parametrize(
    ("priority", "swap"), [(Priority.NORMAL, SwapKind.DISK), (Priority.CRITICAL, SwapKind.ZRAM)]
)
def test_all_pages_are_fetched_from_zram_only_and_never_for_a_critical_service(
    priority: Priority, swap: SwapKind
) -> None:
    full, hot = measured(Tier.PAGED_FULL, 19, 5), measured(Tier.PAGED_HOT, 13, 27)
    assert chosen(hot, full, priority=priority, swap=swap) is Tier.PAGED_HOT


def test_a_tier_that_frees_next_to_nothing_gives_way_to_frozen() -> None:
    assert chosen(measured(Tier.PAGED_HOT, 13, 91)) is Tier.FROZEN
    assert chosen(measured(Tier.PAGED_HOT, 13, 89)) is Tier.PAGED_HOT


def test_when_nothing_wakes_in_time_the_next_lighter_tier_is_tried_and_in_the_end_none() -> None:
    full, hot, frozen = (
        measured(Tier.PAGED_FULL, 900, 5),
        measured(Tier.PAGED_HOT, 800, 27),
        measured(Tier.FROZEN, 700, 100),
    )
    assert chosen(full, swap=SwapKind.ZRAM) is Tier.PAGED_HOT
    assert chosen(full, hot) is Tier.FROZEN
    assert chosen(full, hot, frozen) is Tier.WARM


def test_one_slow_wake_of_a_few_does_not_count_against_a_tier() -> None:
    few = measured(Tier.PAGED_HOT, 900, 27, p50_ms=10, wakes=JUDGED - 1)
    many = measured(Tier.PAGED_HOT, 900, 27, p50_ms=10, wakes=JUDGED)
    assert chosen(few) is Tier.PAGED_HOT
    assert chosen(many) is Tier.FROZEN


def test_barred_tiers_are_not_entered() -> None:
    barred = frozenset({Tier.PAGED_HOT, Tier.PAGED_FULL})
    assert chosen(measured(Tier.PAGED_HOT, 13, 27), barred=barred) is Tier.FROZEN
    assert chosen(barred=frozenset(Tier)) is Tier.WARM


@pytest.mark.parametrize(
    ("fixed", "tiers", "expected"),
    [
        (Tier.FROZEN, STATEFUL, Tier.FROZEN),
        (Tier.WARM, STATEFUL, Tier.WARM),
        (Tier.PAGED_FULL, BARE, Tier.FROZEN),
        (Tier.CHECKPOINT, ALL, Tier.PAGED_FULL),
        (Tier.CHECKPOINT, (*ALL, Tier.CHECKPOINT), Tier.CHECKPOINT),
        (Tier.RESPAWN, (Tier.WARM,), Tier.WARM),
    ],
)
def test_a_tier_that_is_asked_for_is_taken_or_the_nearest_that_loses_nothing(
    fixed: Tier, tiers: tuple[Tier, ...], expected: Tier
) -> None:
    found = choose(
        tiers,
        priority=Priority.NORMAL,
        swap=SwapKind.DISK,
        target_ms=1.0,
        fixed=fixed,
        barred=frozenset(Tier),
        missing="Do this.",
    )
    assert found.tier is expected
    assert ("Do this." in found.reason) == (fixed is not expected)


def test_checkpoint_is_never_entered_unasked() -> None:
    assert chosen(tiers=(Tier.WARM, Tier.CHECKPOINT)) is Tier.WARM
    assert chosen(measured(Tier.CHECKPOINT, 1, 0), tiers=(*STATEFUL, Tier.CHECKPOINT)) is Tier.PAGED_HOT


@pytest.mark.parametrize(
    ("stateless", "endless", "expected"),
    [(True, False, (*BARE, Tier.RESPAWN)), (False, False, BARE), (True, True, BARE)],
)
def test_stopping_is_offered_where_nothing_is_lost_by_it(
    stateless: bool, endless: bool, expected: tuple[Tier, ...]
) -> None:
    assert offered((Tier.FROZEN,), stateless=stateless, endless=endless) == expected


def test_what_is_worth_measuring_starts_with_the_usual_tier_and_leaves_out_what_is_known() -> None:
    def worth(*calibrations: Calibration) -> tuple[Tier, ...]:
        return unmeasured(ALL, calibrations, priority=Priority.NORMAL, swap=SwapKind.DISK)

    assert worth() == (Tier.PAGED_HOT, Tier.RESPAWN)
    assert worth(measured(Tier.PAGED_HOT, 13, 27)) == (Tier.RESPAWN,)


tiers_of = st.sampled_from(ALL)


@given(
    tiers=st.sets(tiers_of).map(lambda found: tuple(tier for tier in ALL if tier in found | {Tier.WARM})),
    figures=st.dictionaries(tiers_of, st.tuples(st.floats(0, 1000), st.integers(0, 100)), max_size=5),
    barred=st.frozensets(tiers_of),
    priority=st.sampled_from(Priority),
    swap=st.sampled_from(SwapKind),
    target_ms=st.sampled_from([50.0, 200.0]),
)
def test_a_choice_is_always_offered_and_open_and_beaten_by_none(
    tiers: tuple[Tier, ...],
    figures: dict[Tier, tuple[float, int]],
    barred: frozenset[Tier],
    priority: Priority,
    swap: SwapKind,
    target_ms: float,
) -> None:
    calibrations = [measured(tier, ms, kept) for tier, (ms, kept) in figures.items()]
    found = chosen(
        *calibrations, tiers=tiers, priority=priority, swap=swap, target_ms=target_ms, barred=barred
    )
    assert found in tiers
    assert found is Tier.WARM or found not in barred
    fits = {
        c.tier: c.kept
        for c in calibrations
        if c.tier in tiers and c.tier not in barred and c.p95_ms <= target_ms
    }
    fits.pop(Tier.WARM, None)
    if found in fits and found is not Tier.FROZEN and usual(tiers, priority, swap) in fits:
        assert fits[found] == min(fits.values())
