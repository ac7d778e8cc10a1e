"""Decoding JSON that others wrote."""

from __future__ import annotations

import json

import pytest

from tool_router.gateway.json_value import as_list, as_object, decode, deeper_than


def test_what_is_decoded_can_be_encoded_again() -> None:
    value = decode(rb'{"a": NaN, "b": [-Infinity, "\ud83d\ude00 \ud800"], "\udfff": 1}')
    assert value == {"a": None, "b": [None, "\N{GRINNING FACE} ?"], "?": 1}
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("content", [b"", b"{", b"<html>", b'{"a": 1} x', b"\xff\xfe"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        decode(content)


def test_a_bottomless_nesting_is_refused_without_harm() -> None:
    with pytest.raises(RecursionError):
        decode(b"[" * 100_000 + b"]" * 100_000)


def test_values_are_narrowed_without_being_trusted() -> None:
    assert as_object({"a": 1}) == {"a": 1}
    assert as_object([("a", 1)]) is None
    assert as_list([1]) == [1]
    assert as_list("text") is None


@pytest.mark.parametrize(("limit", "deeper"), [(2, True), (3, False), (4, False)])
def test_depth_is_measured_through_objects_and_arrays(limit: int, *, deeper: bool) -> None:
    assert deeper_than(limit, {"a": [{"b": 1}], "c": []}) is deeper
