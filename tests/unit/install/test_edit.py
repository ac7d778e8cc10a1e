"""Editing one member and leaving the rest as it is."""

from __future__ import annotations

import json
from itertools import product

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.unit.install.test_jsonc import VALUES
from tool_router.install.edit import get, put, remove
from tool_router.install.jsonc import JsoncError, parse

PATH = ("servers", "router")
ENTRY: dict[str, object] = {"command": "/opt/router", "args": []}

COMMENTED = """\
// My servers
{
    "inputs": [], // none yet
    "servers": {
        /* the first */
        "git": {"command": "git-mcp"}, // keep: do not touch
        "time": {
            "command": "time-mcp"
        } // last
    },
}
"""


def test_an_entry_is_added_below_the_last_one_and_every_comment_stays() -> None:
    assert put(COMMENTED, PATH, ENTRY, comments=True) == COMMENTED.replace(
        "        } // last\n",
        '        }, // last\n        "router": {\n            "command": "/opt/router",\n'
        '            "args": []\n        }\n',
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "servers": {\n    "router": 1\n  }\n}\n'),
        ("  \n", '{\n  "servers": {\n    "router": 1\n  }\n}\n'),
        ("{}", '{\n  "servers": {\n    "router": 1\n  }\n}'),
        ("{}\r\n{", None),
        ('{"servers": {}}', '{"servers": {\n  "router": 1\n}}'),
        ('{"a": 1}', '{"a": 1, "servers": {"router": 1}}'),
        ('{\n\t"a": 1\n}\n', '{\n\t"a": 1,\n\t"servers": {\n\t\t"router": 1\n\t}\n}\n'),
        ('{\r\n  "a": 1\r\n}\r\n', '{\r\n  "a": 1,\r\n  "servers": {\r\n    "router": 1\r\n  }\r\n}\r\n'),
        ('{\n  "a": 1, // end\n}', '{\n  "a": 1, // end\n  "servers": {\n    "router": 1\n  },\n}'),
        ("{\n  // only this\n}", '{\n  "servers": {\n    "router": 1\n  }\n  // only this\n}'),
        ('{\n  "servers": {\n    "router": 2\n  }\n}', '{\n  "servers": {\n    "router": 1\n  }\n}'),
        ('\ufeff{\n  "servers": {"router": 1}\n}', '\ufeff{\n  "servers": {"router": 1}\n}'),
    ],
)
def test_an_entry_is_put_in_the_documents_own_style(before: str, after: str | None) -> None:
    if after is None:
        with pytest.raises(JsoncError):
            put(before, PATH, 1, comments=True)
    else:
        assert put(before, PATH, 1, comments=True) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a": 1, "b": 2, "c": 3}', ['{"b": 2, "c": 3}', '{"a": 1, "c": 3}', '{"a": 1, "b": 2}']),
        (
            '{\n  "a": 1,\n  "b": 2, // two\n  "c": 3\n}',
            [
                '{\n  "b": 2, // two\n  "c": 3\n}',
                '{\n  "a": 1, // two\n  "c": 3\n}',
                '{\n  "a": 1,\n  "b": 2 // two\n}',
            ],
        ),
        (
            '{\r\n  "a": 1,\r\n  "b": 2,\r\n  "c": 3,\r\n}',
            [
                '{\r\n  "b": 2,\r\n  "c": 3,\r\n}',
                '{\r\n  "a": 1,\r\n  "c": 3,\r\n}',
                '{\r\n  "a": 1,\r\n  "b": 2,\r\n}',
            ],
        ),
    ],
)
def test_a_member_is_removed_with_its_comma(before: str, after: list[str]) -> None:
    assert [remove(before, (name,), comments=True) for name in "abc"] == after


@pytest.mark.parametrize("before", ['{"a": 1}', '{\n  "a": 1\n}', '{\n  "a": 1,\n}'])
def test_an_object_is_closed_up_when_its_last_member_goes(before: str) -> None:
    assert remove(before, ("a",), comments=True) == "{}"


def test_removing_what_is_not_there_changes_nothing() -> None:
    assert remove(COMMENTED, PATH, comments=True) == COMMENTED


@pytest.mark.parametrize("text", ["[]", '{"servers": []}', '{"servers": null}', "7"])
def test_a_section_that_is_no_object_is_refused_not_replaced(text: str) -> None:
    for work in (lambda: put(text, PATH, 1, comments=True), lambda: get(text, PATH, comments=True)):
        with pytest.raises(JsoncError, match="is not an object"):
            work()


def test_an_equal_value_is_left_as_it_is_written() -> None:
    text = '{"servers": {"router": {"args":[],   "command":"/opt/router"}}}'
    assert put(text, PATH, ENTRY, comments=False) == text


@given(
    document=st.dictionaries(st.text(max_size=5), VALUES, max_size=4),
    servers=st.dictionaries(st.text(max_size=5), VALUES, max_size=3) | st.none(),
    indent=st.sampled_from([None, 1, 4, "\t"]),
    crlf=st.booleans(),
)
def test_putting_changes_one_value_and_removing_takes_it_back(
    document: dict[str, object], servers: dict[str, object] | None, indent: int | str | None, crlf: bool
) -> None:
    document.pop("servers", None)
    if servers is not None:
        servers.pop("router", None)
        document["servers"] = servers
    text = json.dumps(document, indent=indent)
    text = text.replace("\n", "\r\n") if crlf else text
    put_in = put(text, PATH, ENTRY, comments=False)
    assert parse(put_in, comments=False).value == {
        **document,
        "servers": {**(servers or {}), "router": ENTRY},
    }
    assert put(put_in, PATH, ENTRY, comments=False) == put_in
    taken_out = remove(put_in, PATH, comments=False)
    assert parse(taken_out, comments=False).value == {**document, "servers": servers or {}}
    if servers:
        assert taken_out == text


LINES = ["", " // one", " /* two */"]


@pytest.mark.parametrize(("first", "second", "comma"), list(product(LINES, LINES, ["", ","])))
def test_comments_survive_wherever_they_stand(first: str, second: str, comma: str) -> None:
    text = f'{{\n  "servers": {{{first}\n    "a": 1{comma}{second}\n    // three\n  }}\n}}\n'
    put_in = put(text, PATH, ENTRY, comments=True)
    assert get(put_in, PATH, comments=True) == ENTRY
    for remark in (first, second, "// three"):
        assert remark in put_in
    assert remove(put_in, PATH, comments=True) == text
