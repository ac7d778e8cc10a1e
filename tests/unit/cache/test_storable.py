"""Any text survives a store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_router.cache.storable import legible, original, storable

# By default Hypothesis leaves surrogates out.
ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text("\0\x01\ud800\udc00a")


@given(ANY_TEXT)
def test_stored_text_can_be_encoded_has_no_zero_byte_and_comes_back(text: str) -> None:
    stored = storable(text)
    assert b"\0" not in stored.encode()
    assert original(stored) == text


@given(ANY_TEXT, ANY_TEXT)
def test_different_texts_stay_different(one: str, other: str) -> None:
    assert (storable(one) == storable(other)) == (one == other)


def test_ordinary_text_is_stored_as_it_is() -> None:
    assert storable("read 東京.txt\n") == "read 東京.txt\n"


@pytest.mark.parametrize("stored", ["\x01zz", "\x01ff", "\x01"])
def test_what_nobody_escaped_is_left_as_it_is(stored: str) -> None:
    assert original(stored) in (stored, "")


@given(ANY_TEXT)
def test_legible_text_can_be_encoded_and_has_no_zero_byte(text: str) -> None:
    assert b"\0" not in legible(text).encode()
