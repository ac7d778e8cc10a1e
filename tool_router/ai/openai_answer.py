"""Reads answers in OpenAI's protocol. Pure; every answer of another shape is a ProviderError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from tool_router.ai.provider import Vectors
from tool_router.errors import ProviderError


def model_names(answer: Any) -> list[str]:
    """The ids of a list of models.

    Raises:
        ProviderError: malformed.
    """
    names = [_mapping(entry).get("id") for entry in _list(_mapping(answer).get("data"))]
    # Gemini lists its models under a prefix that its own chat route does without.
    return [name.removeprefix("models/") for name in names if isinstance(name, str)]


def vectors(answer: Any, count: int) -> Vectors:
    """One finite vector for each of `count` texts, in their order.

    Raises:
        ProviderError: malformed.
    """
    entries = [_mapping(entry) for entry in _list(_mapping(answer).get("data"))]
    if len(entries) != count:
        raise ProviderError("malformed", f"{len(entries)} vectors came for {count} texts.")
    places = [entry.get("index", place) for place, entry in enumerate(entries)]
    if sorted(map(str, places)) != sorted(map(str, range(count))):
        raise ProviderError("malformed", "The vectors do not say which texts they belong to.")
    ordered = sorted(entries, key=lambda entry: int(entry.get("index", 0)))
    try:
        found = np.asarray([entry.get("embedding") for entry in ordered], np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise ProviderError("malformed", "The vectors differ in length, or are none.") from error
    if found.ndim != 2 or not found.shape[1]:
        raise ProviderError("malformed", "The vectors are empty.")
    if not np.isfinite(found).all():
        raise ProviderError("malformed", "The vectors hold values that are no numbers.")
    return found


def first_token(answer: Any) -> list[tuple[str, float]]:
    """The likeliest first tokens of an answer with their log probabilities.

    Raises:
        ProviderError: unsupported where there are no log probabilities; malformed.
    """
    given = _choice(answer).get("logprobs")
    tokens = _mapping(given).get("content") if isinstance(given, Mapping) else None
    if not tokens:
        raise ProviderError("unsupported", "The model gives no log probabilities.")
    first = _mapping(_list(tokens)[0])
    alternatives = [_mapping(entry) for entry in _list(first.get("top_logprobs") or [])] or [first]
    found: list[tuple[str, float]] = []
    for entry in alternatives:
        token, logarithm = entry.get("token"), entry.get("logprob")
        if (
            not isinstance(token, str)
            or isinstance(logarithm, bool)
            or not isinstance(logarithm, int | float)
        ):
            raise ProviderError("malformed", "The log probabilities can't be read.")
        # A huge integer can't be a float; any positive number is refused later, as no logarithm.
        found.append((token, float(min(max(logarithm, -1e9), 1.0))))
    return found


def text(answer: Any) -> str:
    """The text of an answer.

    Raises:
        ProviderError: malformed.
    """
    content = _mapping(_choice(answer).get("message")).get("content")
    if not isinstance(content, str):
        raise ProviderError("malformed", "The answer holds no text.")
    return content


def error_text(answer: Any) -> str:
    """What an error says, and the parameter it names; empty where it says nothing that can be read."""
    error: Any = cast("Mapping[str, Any]", answer).get("error") if isinstance(answer, Mapping) else answer
    # Gemini wraps its errors in a list.
    if isinstance(answer, list) and answer:
        return error_text(cast("list[Any]", answer)[0])
    if isinstance(error, Mapping):
        detail = cast("Mapping[str, Any]", error)
        said = [part for key in ("message", "param") if isinstance(part := detail.get(key), str)]
        return " ".join(" ".join(said).split())
    return " ".join(error.split()) if isinstance(error, str) else ""


def _choice(answer: Any) -> Mapping[str, Any]:
    choices: Sequence[Any] = _list(_mapping(answer).get("choices"))
    if not choices:
        raise ProviderError("malformed", "The answer holds no choice.")
    return _mapping(choices[0])


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ProviderError("malformed", "The answer has another shape than OpenAI's protocol says.")
    return cast("Mapping[str, Any]", value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ProviderError("malformed", "The answer has another shape than OpenAI's protocol says.")
    return cast("list[Any]", value)
