from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_manager.config.substitution import MAX_DEPTH, MalformedSubstitution, Substituted, substitute

ENVIRON = {"NAME": "ada", "EMPTY": "", "TRICKY": "${NAME} $$ }", "_A1": "x"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${NAME}", "ada"),
        ("a ${NAME} b ${_A1}c", "a ada b xc"),
        ("${NAME:-no}", "ada"),
        ("${NOPE:-yes}", "yes"),
        ("${EMPTY:-yes}", "yes"),
        ("${EMPTY}", ""),
        ("${NOPE:-}", ""),
        ("${NOPE:-a b:c -d}", "a b:c -d"),
        ("${NOPE:-${NAME}}", "ada"),
        ("${NOPE:-${NEITHER:-${NAME}/x}}", "ada/x"),
        ("${NOPE:-$$}", "$"),
        ("$$", "$"),
        ("$${NAME}", "${NAME}"),
        ("$$$$", "$$"),
        ("$$NAME", "$NAME"),
        ("costs 5$", "costs 5$"),
        ("^a$|b", "^a$|b"),
        ("}", "}"),
        ("${TRICKY}", "${NAME} $$ }"),
    ],
)
def test_text_is_substituted(text: str, result: str) -> None:
    assert substitute(text, ENVIRON) == Substituted(result)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("${NOPE}", ("NOPE",)),
        ("${B} ${A} ${B}", ("B", "A")),
        ("${NOPE:-${OTHER}}", ("OTHER",)),
        ("${NAME:-${OTHER}}", ()),
    ],
)
def test_a_variable_is_missing_only_when_it_is_wanted(text: str, missing: tuple[str, ...]) -> None:
    assert substitute(text, ENVIRON).missing == missing


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("${", "not followed by a variable's name"),
        ("${}", "not followed by a variable's name"),
        ("${1A}", "not followed by a variable's name"),
        ("${NAME", "neither `}` nor `:-`"),
        ("${NAME-x}", "neither `}` nor `:-`"),
        ("${NAME:x}", "neither `}` nor `:-`"),
        ("${NAME:-x", "not closed"),
        ("$NAME", "has no braces"),
        ("a$_b", "has no braces"),
        ("${NOPE:-" * (MAX_DEPTH + 1) + "}" * (MAX_DEPTH + 1), "nested"),
    ],
)
def test_an_unfinished_substitution_is_an_error(text: str, what: str) -> None:
    with pytest.raises(MalformedSubstitution) as caught:
        substitute(text, ENVIRON)

    assert what in caught.value.what
    assert caught.value.suggestion


NAMES = st.text(string.ascii_letters + "_", min_size=1, max_size=8)
TEXTS = st.text(max_size=20)
PIECES = st.one_of(
    st.tuples(st.just("literal"), TEXTS, st.just("")),
    st.tuples(st.just("variable"), NAMES, st.just("")),
    st.tuples(st.just("default"), NAMES, TEXTS),
)


@given(st.lists(PIECES, max_size=8), st.dictionaries(NAMES, TEXTS, max_size=5))
def test_what_is_written_by_the_rules_is_read_by_them(
    pieces: list[tuple[str, str, str]], environ: dict[str, str]
) -> None:
    def escaped(text: str) -> str:
        return text.replace("$", "$$")

    written, wanted, missing = "", "", list[str]()
    for kind, text, default in pieces:
        if kind == "literal":
            written, wanted = written + escaped(text), wanted + text
        elif kind == "variable":
            written, wanted = written + f"${{{text}}}", wanted + environ.get(text, "")
            missing += [] if text in environ else [text]
        else:
            # A default ends at the first closing brace; there is no way to write one in it.
            default = default.replace("}", "")
            written += f"${{{text}:-{escaped(default)}}}"
            wanted += environ.get(text) or default

    assert substitute(written, environ) == Substituted(wanted, tuple(dict.fromkeys(missing)))


@given(st.text(), st.dictionaries(NAMES, TEXTS, max_size=3))
def test_any_text_is_substituted_or_refused(text: str, environ: dict[str, str]) -> None:
    try:
        result = substitute(text, environ)
    except MalformedSubstitution:
        assert "$" in text
    else:
        assert "$" in text or result == Substituted(text)
