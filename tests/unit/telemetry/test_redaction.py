"""What is a secret in a log event, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_router.telemetry.redaction import (
    DEPTH_LIMIT,
    REDACTED,
    TEXT_LIMIT,
    Redactor,
    is_secret_key,
    secret_values,
)

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "key",
    """token GATEWAY_TOKEN Authorization X-Api-Key apiKey clientSecret db_password private-key Set-Cookie
    secrets passwd proxy-authorization aws_secret_access_key""".split(),
)
def test_a_key_that_names_a_secret_is_recognised_in_every_spelling(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize("key", ["key", "keys", "author", "path", "tokenizer", "task", "secretary", "url"])
def test_a_key_that_only_resembles_one_is_not_a_secret(key: str) -> None:
    assert not is_secret_key(key)


@pytest.mark.parametrize(
    ("before", "secret", "after"),
    [
        ("Authorization: Bearer ", "abc.def-ghi_123", " sent"),
        ("auth Basic ", "dXNlcjpwYXNzd29yZA==", ""),
        ("sent ", JWT, " upstream"),
        ("redis://", "cache:hunter22", "@localhost:6379/0"),
        ("GET /v1/search?api_key=", "9f8e7d6c", "&q=x"),
        ('{"password": "', "correct-horse", '"}'),
        ("BRAVE_API_KEY=", "BSA12345", " npx"),
        ("using sk-", "a1" * 12, " now"),
        ("remote ghp_", "0123456789abcdefghijABCDEFGHIJ012345", ""),
    ],
)
def test_a_text_loses_what_looks_like_a_secret_and_keeps_the_rest(
    before: str, secret: str, after: str
) -> None:
    redacted = Redactor().text(before + secret + after)

    assert secret not in redacted
    assert REDACTED in redacted
    assert redacted.startswith(before.removesuffix("sk-").removesuffix("ghp_"))
    assert redacted.endswith(after)


@pytest.mark.parametrize(
    "text",
    ["bearer of good news", "https://example.org:8080/a?b=c", "tokens used: 12", "the password is wrong", ""],
)
def test_a_text_without_secrets_is_unchanged(text: str) -> None:
    assert Redactor().text(text) == text


def test_a_known_value_is_replaced_wherever_it_appears_and_longest_first() -> None:
    redactor = Redactor(["hunter22", "hunter22-and-more"])

    assert redactor.text("a hunter22-and-more b hunter22 c") == f"a {REDACTED} b {REDACTED} c"


def test_a_short_known_value_is_left_alone() -> None:
    assert Redactor(["1", "true"]).text("1 is true") == "1 is true"


def test_only_variables_whose_names_are_secret_give_known_values() -> None:
    environ = {"BRAVE_API_KEY": "BSA-abcdef", "HOME": "/home/someone", "X_TOKEN": "abc"}

    assert secret_values(environ) == {"BSA-abcdef"}


def test_counts_and_flags_under_secret_keys_stay() -> None:
    fields = {"tokens": 12, "token": None, "password": "", "secret": True, "api_key": "abcdef"}

    assert Redactor().fields(fields) == {**fields, "api_key": REDACTED}


def test_nested_values_are_redacted_by_key_and_by_form() -> None:
    event = {
        "request": {"headers": [{"Authorization": "x"}, ("Bearer abcdefgh", 3)]},
        "error": ValueError(JWT),
    }

    assert Redactor().fields(event) == {
        "request": {"headers": [{"Authorization": REDACTED}, [f"Bearer {REDACTED}", 3]]},
        "error": f"ValueError: {REDACTED}",
    }


def test_a_value_that_contains_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)

    nested: object = Redactor().value(loop)
    for _ in range(DEPTH_LIMIT):
        assert isinstance(nested, list)
        (nested,) = nested  # pyright: ignore[reportUnknownVariableType] - the shape is what is tested
    assert nested == "..."


def test_a_megabyte_is_cut_and_says_how_long_it_was() -> None:
    text = Redactor().text("x" * 1_000_000)

    assert len(text) < TEXT_LIMIT + 50
    assert text.endswith("(1000000 characters)")


@given(filler=st.integers(0, TEXT_LIMIT + 50))
def test_a_secret_across_the_cut_does_not_leak_its_first_half(filler: int) -> None:
    text = "x" * filler + f" Bearer {'s' * 60} " + "y" * TEXT_LIMIT

    assert "ssssss" not in Redactor().text(text)
