"""Figures and tables as people read them."""

from __future__ import annotations

import sys

import pytest

from service_manager.cli.text import aligned, milliseconds, one_line, percent, rate, size, table


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1536, "1.5 kB"),
        (48_234_496, "46.0 MB"),
        (400 * 1024**2, "400 MB"),
        (1010 * 1024**2, "1.0 GB"),
        (5 * 1024**4, "5.0 TB"),
        (9000 * 1024**4, "9000 TB"),
    ],
)
def test_sizes_have_three_digits_and_a_unit(count: float | None, told: str) -> None:
    assert size(count) == told


def test_what_is_not_known_is_a_dash_and_nothing_is_a_zero() -> None:
    assert [rate(None), rate(0.0), rate(2048.0)] == ["-", "0", "2.0 kB/s"]
    assert [percent(None), percent(0.04)] == ["-", "0.0 %"]
    assert [milliseconds(None), milliseconds(3.21), milliseconds(180.4)] == ["-", "3.2", "180"]


def test_text_of_several_lines_takes_one() -> None:
    assert one_line(" it died:\n\texit code 3 ") == "it died: exit code 3"


def test_columns_begin_at_the_same_place_and_the_last_one_is_cut() -> None:
    assert aligned([("a", "state", "why"), ("longer", "up", "because of this")], width=22) == [
        "a       state  why",
        "longer  up     beca...",
    ]
    assert aligned([("a", "")]) == ["a"]


def test_states_are_coloured_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("running", "running", ""), ("git", "failed", ""), ("b", "stopped", "")]
    plain = table(("SERVICE", "STATE", "WHY"), rows, state=1)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    coloured = table(("SERVICE", "STATE", "WHY"), rows, state=1)

    assert plain[1] == "running  running"
    assert coloured[1].startswith("running  \x1b[")
    assert coloured[3] == plain[3]
