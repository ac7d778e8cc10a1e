from __future__ import annotations

import pytest

from tool_router.catalog.untrusted import hidden_characters, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  two\n\tlines ", "two lines"),
        ("red \x1b[31mtext", "red [31mtext"),
        ("zero\u200bwidth", "zerowidth"),
        ("tag\U000e0041\U000e0042s", "tags"),
        ("right\u202eto left", "rightto left"),
        ("Zürich 東京 Москва", "Zürich 東京 Москва"),
        ("\ud800lone", "lone"),
        ("", ""),
    ],
)
def test_only_what_can_be_seen_is_shown(text: str, shown: str) -> None:
    assert plain(text, 80) == shown


def test_a_long_text_is_cut_to_the_limit_with_an_ellipsis() -> None:
    assert plain("word " * 100, 12) == "word word w…"
    assert len(plain("x" * 1_000_000, 50)) == 50


@pytest.mark.parametrize(
    "ordinary", ["\ufeffBOM", "soft\u00adhyphen", "👩\u200d💻", "می\u200cروم", "a\tb\r\nc"]
)
def test_ordinary_writing_hides_nothing(ordinary: str) -> None:
    assert hidden_characters(ordinary) == ()


def test_hidden_characters_are_named() -> None:
    assert hidden_characters("a\u202eb\u200bc\U000e0041") == ("U+200B", "U+202E", "U+E0041")
