from __future__ import annotations

import math

import pytest

from tool_router.ai.labels import label_probabilities
from tool_router.ai.structured import LONGEST_ANSWER, json_answer
from tool_router.errors import ProviderError

LABELS = ("A", "B", "C")


def logs(**chances: float) -> list[tuple[str, float]]:
    return [(token, math.log(chance)) for token, chance in chances.items()]


def test_the_probabilities_of_the_labels_are_those_of_their_tokens_normalised() -> None:
    found = label_probabilities(logs(A=0.6, B=0.2, Sure=0.1), LABELS)
    assert found == {"A": pytest.approx(0.75), "B": pytest.approx(0.25), "C": 0.0}


def test_tokens_that_spell_the_same_letter_count_together() -> None:
    spelled = [
        ("B", math.log(0.3)),
        (" B", math.log(0.2)),
        ("**B", math.log(0.2)),
        ("\u2581A", math.log(0.3)),
    ]
    found = label_probabilities(spelled, LABELS)
    assert found["B"] == pytest.approx(0.7)
    assert found["A"] == pytest.approx(0.3)


def test_a_token_that_is_listed_twice_counts_once() -> None:
    assert label_probabilities([*logs(A=0.5, B=0.5), ("A", math.log(0.5))], LABELS)["A"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "alternatives",
    [
        [],
        logs(D=0.9, A=0.05),
        logs(The=0.7, A=0.3),
        logs(a=0.9),
        logs(AB=0.9),
        [("A", -math.inf), ("I", -0.1)],
    ],
    ids=["none", "not offered", "prose", "lower case", "a word", "impossible"],
)
def test_an_answer_that_is_no_label_is_malformed(alternatives: list[tuple[str, float]]) -> None:
    with pytest.raises(ProviderError, match="instead of a label") as caught:
        label_probabilities(alternatives, LABELS)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize("logarithm", [math.nan, 0.5, math.inf])
def test_a_log_probability_that_is_none_spoils_the_answer(logarithm: float) -> None:
    with pytest.raises(ProviderError, match="no probabilities") as caught:
        label_probabilities([*logs(A=0.9), ("B", logarithm)], LABELS)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        '  {"a": 1}\n',
        '```json\n{"a": 1}\n```',
        'Here you are: {"a": 1} I hope it helps.',
        '```\n{"a": 1}```',
    ],
)
def test_json_is_found_wherever_it_stands_in_an_answer(text: str) -> None:
    assert json_answer(text) == {"a": 1}


@pytest.mark.parametrize(
    "text", ["", "I can't help with that.", '{"a": ', "{" * 50_000, "x" * (LONGEST_ANSWER + 1)]
)
def test_an_answer_without_json_is_malformed(text: str) -> None:
    with pytest.raises(ProviderError) as caught:
        json_answer(text)
    assert caught.value.reason == "malformed"
