"""When a test that measures time may be tried again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import turns


@pytest.fixture
def stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /proc/stat."""
    path = tmp_path / "stat"
    monkeypatch.setattr(turns, "STAT", path)
    return path


def take(stat: Path, stolen_s: float) -> None:
    ticks = round(stolen_s * os.sysconf("SC_CLK_TCK"))
    stat.write_text(f"cpu  900 0 900 900 0 0 0 {ticks} 0 0\ncpu0 1 2 3 4\n", encoding="ascii")


@pytest.mark.parametrize(
    ("tried_s", "stolen_s", "taken"),
    [(0.1, 0.04, False), (0.1, 0.5, True), (1000.0, 30.0, False), (1000.0, 900.0, True)],
)
def test_a_try_is_void_where_the_host_took_much_of_it(
    stat: Path, monkeypatch: pytest.MonkeyPatch, tried_s: float, stolen_s: float, taken: bool
) -> None:
    now_s = 5.0
    monkeypatch.setattr(turns.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(turns.os, "cpu_count", lambda: 1)
    one = turns.Turns()
    take(stat, 7.0)
    one.pytest_runtest_logstart()
    now_s += tried_s
    take(stat, 7.0 + stolen_s)
    assert one.were_processors_taken() == taken


def test_nothing_is_known_to_be_taken_where_no_one_tells(stat: Path) -> None:
    assert not stat.exists()
    assert turns.stolen_s() == 0.0
