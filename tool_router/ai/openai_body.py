"""Requests in OpenAI's protocol, and how they are changed where an endpoint refuses a part of them. Pure.

Compatible endpoints differ in what they take. They name the parameter they refuse, so that the request is
sent again without it; what was learned is kept for each model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tool_router.ai.labels import MOST_ALTERNATIVES
from tool_router.ai.provider import Prompt

Body = dict[str, Any]

FEWER_ALTERNATIVES = (8, 5)
"""What to ask for where an endpoint gives fewer alternatives of a token than OpenAI."""

LEAST_TOKENS = 16
"""What to ask for where an endpoint does not write a single token."""

MOST_WRITTEN = 1_024
"""Tokens of a structured answer: arguments and scores are short, and a model may never stop."""


def choosing(prompt: Prompt, model: str) -> Body:
    """Ask for one token with its alternatives."""
    return {
        **_chat(prompt, model),
        "max_tokens": 1,
        "logprobs": True,
        "top_logprobs": MOST_ALTERNATIVES,
    }


def completing(prompt: Prompt, schema: Mapping[str, Any], model: str) -> Body:
    """Ask for JSON that satisfies a schema."""
    form = {"name": "answer", "schema": dict(schema)}
    return {
        **_chat(prompt, model),
        "max_tokens": MOST_WRITTEN,
        "response_format": {"type": "json_schema", "json_schema": form},
    }


def without_refused(body: Body, said: str) -> Body | None:
    """The request without what an endpoint refuses, or None when its words name nothing that was sent.

    Args:
        body: what was sent.
        said: the endpoint's error, with the name of the parameter where it gives one.
    """
    if "max_completion_tokens" in said and "max_tokens" in body:
        changed = {**body, "max_completion_tokens": body["max_tokens"]}
        del changed["max_tokens"]
        return changed
    for name in ("max_tokens", "max_completion_tokens"):
        if name in said and body.get(name, LEAST_TOKENS) < LEAST_TOKENS:
            return {**body, name: LEAST_TOKENS}
    if "top_logprobs" in said and "top_logprobs" in body:
        fewer = next((count for count in FEWER_ALTERNATIVES if count < body["top_logprobs"]), 0)
        return {**body, "top_logprobs": fewer} if fewer else _without(body, "top_logprobs", "logprobs")
    if "logprobs" in said and "logprobs" in body:
        return _without(body, "top_logprobs", "logprobs")
    if "temperature" in said and "temperature" in body:
        return _without(body, "temperature")
    if any(word in said for word in ("response_format", "json_schema", "json_object", "schema")):
        form = body.get("response_format", {}).get("type")
        if form == "json_schema":
            return {**body, "response_format": {"type": "json_object"}}
        if form == "json_object":
            return _without(body, "response_format")
    return None


def _chat(prompt: Prompt, model: str) -> Body:
    messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
    return {"model": model, "messages": messages, "temperature": 0}


def _without(body: Body, *names: str) -> Body:
    return {name: value for name, value in body.items() if name not in names}
