"""What a machine offers, and what is told of what it lacks."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from service_manager.linux.capabilities import (
    LEAST_SWAP,
    Capabilities,
    SwapKind,
    missing,
    probe,
    tiers_possible,
)
from service_manager.model import Tier

FULL = Capabilities(
    "linux", SwapKind.DISK, 2**30, 2**30, process_madvise=True, nice=True, peek=True, checkpoint=""
)
FROZEN = (Tier.FROZEN,)
PAGED = (Tier.FROZEN, Tier.PAGED_HOT, Tier.PAGED_FULL)


@pytest.mark.parametrize(
    ("machine", "tiers", "told"),
    [
        (FULL, PAGED, ""),
        (replace(FULL, swap=SwapKind.ZRAM, peek=False), PAGED, ""),
        (replace(FULL, peek=False), FROZEN, "setcap cap_sys_ptrace+ep"),
        (replace(FULL, nice=False), FROZEN, "setcap cap_sys_nice+ep"),
        (replace(FULL, nice=False, peek=False), FROZEN, "setcap cap_sys_nice,cap_sys_ptrace+ep"),
        (replace(FULL, process_madvise=False), FROZEN, "Linux 5.10"),
        (replace(FULL, swap=SwapKind.NONE, swap_free=0), FROZEN, "scripts/swapfile make"),
        (replace(FULL, swap_free=LEAST_SWAP - 1), FROZEN, "Only 63 MB of swap are free"),
        (Capabilities("darwin"), FROZEN, "Only Linux"),
        (Capabilities("win32"), (), "Windows"),
    ],
)
def test_a_machine_offers_what_it_can_and_says_what_the_rest_takes(
    machine: Capabilities, tiers: tuple[Tier, ...], told: str
) -> None:
    assert tiers_possible(machine) == tiers
    assert told in missing(machine)
    assert bool(missing(machine)) == bool(told)


def test_a_control_group_pages_out_everything_without_a_capability() -> None:
    unprivileged = replace(FULL, nice=False)
    assert tiers_possible(unprivileged, reclaim=True) == (Tier.FROZEN, Tier.PAGED_FULL)


def test_this_machine_is_probed() -> None:
    found = probe()
    assert found.platform == sys.platform
    assert (found.swap is SwapKind.NONE) == (found.swap_size == 0)
    assert 0 <= found.swap_free <= found.swap_size


def test_a_machine_that_is_not_linux_is_probed_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert probe("no CRIU here") == Capabilities("darwin", checkpoint="no CRIU here")
