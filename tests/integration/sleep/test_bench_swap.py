"""Swap that is made for a measurement is gone after it, and the disk below it is asked how fast it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from service_manager.bench.swap import ZRAM, disk_speed, swap_file, zram_swap
from service_manager.errors import NoSwap
from service_manager.linux.swap import areas

SIZE = 64 * 1024 * 1024


def on_file(directory: Path) -> AbstractContextManager[None]:
    return swap_file(directory / "swap", SIZE)


def on_zram(directory: Path) -> AbstractContextManager[None]:
    if not ZRAM.exists():
        pytest.skip("this kernel has no zram")
    return zram_swap(SIZE)


@pytest.mark.parametrize("made", [on_file, on_zram])
def test_swap_is_there_for_the_time_of_a_measurement(
    tmp_path: Path, made: Callable[[Path], AbstractContextManager[None]]
) -> None:
    if os.geteuid():
        pytest.skip("only root can make swap")
    before = {area.name for area in areas()}
    devices = set(Path("/sys/block").iterdir())
    try:
        with made(tmp_path):
            (added,) = {area.name for area in areas()} - before
    except NoSwap as error:
        pytest.skip(str(error))
    assert added.startswith((str(tmp_path), "/dev/zram"))
    assert {area.name for area in areas()} == before
    assert set(Path("/sys/block").iterdir()) == devices
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_not_made_swap(tmp_path: Path) -> None:
    (tmp_path / "swap").write_text("precious")
    with pytest.raises(NoSwap, match="can't be made"), on_file(tmp_path):
        pass
    assert (tmp_path / "swap").read_text() == "precious"


def test_how_fast_a_disk_reads_is_measured_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    speed = disk_speed(tmp_path)
    assert 0 < speed.p50_ms <= speed.p95_ms
    assert not list(tmp_path.iterdir())
