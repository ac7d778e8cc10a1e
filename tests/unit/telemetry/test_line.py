"""Log events as lines for people."""

from __future__ import annotations

import pytest

from tool_router.telemetry.line import escaped, render_line


def test_time_level_and_event_come_first_then_the_fields_in_their_order() -> None:
    line = render_line(
        {"tools": 12, "event": "catalog_refreshed", "level": "info", "timestamp": "T", "ms": 3.5}
    )

    assert line == "T info     catalog_refreshed tools=12 ms=3.5"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        (None, "null"),
        (True, "true"),
        ({"a": [1]}, '{"a": [1]}'),
        ("Köln", "Köln"),
    ],
)
def test_a_value_is_bare_only_when_that_is_unmistakable(value: object, shown: str) -> None:
    assert render_line({"event": "e", "k": value}).endswith(f"e k={shown}")


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\r", "\u202e", "\x00", "\udc80"])
def test_no_text_reaches_the_terminal_with_control_characters(text: str) -> None:
    line = render_line({"event": text, "value": text})

    assert line.isprintable()
    assert line.encode()
    assert escaped(text) in line


def test_a_traceback_follows_on_indented_lines() -> None:
    line = render_line({"event": "failed", "level": "error", "exception": "Traceback:\n  ValueError: x\x07"})

    assert line.splitlines() == ["error    failed", "    Traceback:", "      ValueError: x\\x07"]
