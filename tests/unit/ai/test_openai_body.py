from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tool_router.ai.openai_answer import error_text, first_token, model_names, text, vectors
from tool_router.ai.openai_body import Body, choosing, completing, without_refused
from tool_router.ai.provider import Prompt
from tool_router.errors import ProviderError

PROMPT = Prompt("system", "user")


def two_vectors(answer: Any) -> object:
    return vectors(answer, 2)


CHOOSING = choosing(PROMPT, "m")
COMPLETING = completing(PROMPT, {"type": "object"}, "m")


@pytest.mark.parametrize(
    ("body", "said", "changed"),
    [
        (
            CHOOSING,
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            {"max_completion_tokens": 1},
        ),
        (
            {"max_completion_tokens": 1},
            "max_completion_tokens: must be at least 16",
            {"max_completion_tokens": 16},
        ),
        (CHOOSING, "top_logprobs must be at most 8", {"top_logprobs": 8}),
        ({**CHOOSING, "top_logprobs": 8}, "top_logprobs must be at most 5", {"top_logprobs": 5}),
        (CHOOSING, "temperature does not support 0 with this model", {}),
        (
            COMPLETING,
            "response_format json_schema is not supported",
            {"response_format": {"type": "json_object"}},
        ),
    ],
)
def test_what_an_endpoint_refuses_is_changed(body: Body, said: str, changed: Body) -> None:
    found = without_refused(body, said)
    assert found is not None
    assert found != body
    assert {name: found[name] for name in changed} == changed


def test_log_probabilities_that_are_refused_are_left_out_whole() -> None:
    found = without_refused(CHOOSING, "logprobs is not supported with this model")
    assert found is not None
    assert not {"logprobs", "top_logprobs"} & set(found)
    few: Body | None = CHOOSING
    for _ in range(3):
        few = without_refused(few or {}, "top_logprobs is not supported")
    assert few is not None
    assert "logprobs" not in few


def test_a_form_of_answer_that_is_refused_twice_is_left_out() -> None:
    plain = without_refused(without_refused(COMPLETING, "json_schema") or {}, "response_format")
    assert plain is not None
    assert "response_format" not in plain


@pytest.mark.parametrize("said", ["", "something went wrong", "max_completion_tokens"])
def test_words_that_name_nothing_that_was_sent_change_nothing(said: str) -> None:
    assert without_refused({"model": "m"}, said) is None


BADLY_SHAPED: list[Any] = [
    None,
    [],
    "text",
    {},
    {"data": 1},
    {"data": [1]},
    {"choices": []},
    {"choices": [1]},
    {"choices": [{}]},
]


@pytest.mark.parametrize("answer", BADLY_SHAPED)
def test_every_answer_of_another_shape_is_an_error_with_a_reason(answer: Any) -> None:
    readers: list[Callable[[Any], object]] = [model_names, two_vectors, first_token, text]
    for read in readers:
        with pytest.raises(ProviderError) as caught:
            read(answer)
        assert caught.value.reason in ("malformed", "unsupported")


@pytest.mark.parametrize(
    "data",
    [
        [{"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 7, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [float("nan")]}],
        [{"index": 0, "embedding": "AAAA"}, {"index": 1, "embedding": "AAAA"}],
        [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}],
        [{"index": 0}, {"index": 1}],
    ],
)
def test_vectors_that_can_not_be_used_are_malformed(data: list[dict[str, Any]]) -> None:
    with pytest.raises(ProviderError) as caught:
        vectors({"data": data}, 2)
    assert caught.value.reason == "malformed"


def test_vectors_come_in_the_order_of_their_index() -> None:
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    assert vectors({"data": data}, 2).tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": {"message": "no such  thing", "param": "logprobs"}}, "no such thing logprobs"),
        ([{"error": {"message": "Gemini's form", "code": 400}}], "Gemini's form"),
        ({"error": "plain"}, "plain"),
        ({}, ""),
        ([], ""),
        (None, ""),
        (7, ""),
    ],
)
def test_an_errors_words_are_read_from_any_form(answer: Any, said: str) -> None:
    assert error_text(answer) == said
