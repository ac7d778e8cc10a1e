"""JSON out of a model's answer, whatever stands around it. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from tool_router.errors import ProviderError

LONGEST_ANSWER = 65_536
"""Characters of an answer that is read; a longer one is a model that does not stop."""

_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL | re.IGNORECASE)


def json_answer(text: str) -> Any:
    """The JSON value of an answer, also inside a fenced block or after a sentence.

    Raises:
        ProviderError: ``malformed``: there is none, or the answer is too long.
    """
    if len(text) > LONGEST_ANSWER:
        raise ProviderError("malformed", f"The model's answer is longer than {LONGEST_ANSWER:,} characters.")
    fenced = _FENCE.search(text)
    start = text.find("{")
    pieces = [text.strip(), fenced[1].strip() if fenced else "", text[start:].strip() if start >= 0 else ""]
    for piece in filter(None, pieces):
        try:
            value, _ = json.JSONDecoder().raw_decode(piece)
        except (ValueError, RecursionError):
            continue
        return value
    raise ProviderError("malformed", "The model's answer is not the JSON it was asked for.")
