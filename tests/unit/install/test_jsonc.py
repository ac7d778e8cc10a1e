"""Reading JSON with positions, strictly or with comments."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tool_router.install.jsonc import MAX_DEPTH, JsoncError, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([None, 2, "\t"]), st.booleans())
def test_it_reads_what_json_reads(value: object, indent: int | str | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    for comments in (False, True):
        node = parse(text, comments=comments)
        assert node.value == value
        assert text[node.start : node.end] == text


@given(st.text(alphabet='{}[]:,"\\/*0123tfnul eE+-.\n\t', max_size=30))
def test_it_refuses_exactly_what_json_refuses(text: str) -> None:
    try:
        expected: object = json.loads(text)
    except json.JSONDecodeError:
        with pytest.raises(JsoncError):
            parse(text, comments=False)
    else:
        assert parse(text, comments=False).value == expected


def test_comments_and_trailing_commas_are_read_where_they_are_allowed() -> None:
    text = '// top\n{ /* a */ "a": [1, 2,], // b\n "b": "// no comment", }\n/* end */'
    assert parse(text, comments=True).value == {"a": [1, 2], "b": "// no comment"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{\n  // mine\n  "a": 1\n}', "line 2, column 3: a comment, which this client does not allow"),
        ('{"a": 1,}', "line 1, column 8: a comma before }"),
        ("[1,]", "a comma before ]"),
        ('{"a": 1', "the document ends where a comma or } is expected"),
        ('{"a" 1}', "'1' where a colon is expected"),
        ('{"a": 1 "b": 2}', "where a comma or } is expected"),
        ("{'a': 1}", "a name in double quotes"),
        ('{"a": "x\ny"}', "not closed"),
        ('{"a": "\\q"}', "not closed, or holds a wrong escape"),
        ("", "the document ends too early"),
        ("{} x", "something follows"),
        ("nullx", "where a value is expected"),
        ("[" * (MAX_DEPTH + 5), "nested deeper"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(JsoncError) as caught:
        parse(text, comments=False)
    assert problem in str(caught.value)


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert parse("\ufeff{}", comments=False).value == {}


def test_the_last_of_two_members_of_one_name_counts() -> None:
    node = parse('{"a": 1, "a": 2}', comments=False)
    member = node.member("a")
    assert member is not None
    assert member.value.value == 2
