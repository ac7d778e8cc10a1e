"""What stands in for a chat model in the test servers: it reads the prompt and answers by shared words.

It knows nothing of the router but the form of its prompts, and can be made to answer badly.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_TASK = re.compile(r"<task>\n(.*?)\n</task>", re.DOTALL)
_TOOL = re.compile(r'<tool letter="([A-Z])">\n(.*?)\n</tool>', re.DOTALL)
_NONE = re.compile(r"^([A-Z]) stands for: none", re.MULTILINE)
_SHARPNESS = 2.0


@dataclass
class Brain:
    """A chat model.

    Attributes:
        alternatives: tokens and log probabilities to give, instead of those that reading gives.
        text: the text to answer with, likewise.
        values: what it finds for a property of a schema that is not a ballot.
    """

    alternatives: list[tuple[str, float]] | None = None
    text: str | None = None
    values: dict[str, Any] = field(default_factory=dict[str, Any])

    def first_tokens(self, prompt: str, count: int) -> list[tuple[str, float]]:
        """The likeliest first tokens with their log probabilities, likeliest first."""
        if self.alternatives is not None:
            return self.alternatives[:count]
        chances = votes(prompt) or {"Sure": 1.0}
        tokens = sorted(((token, math.log(chance)) for token, chance in chances.items()), key=lambda t: -t[1])
        return tokens[:count]

    def plain(self, prompt: str) -> str:
        """An answer without a schema."""
        return self.text if self.text is not None else self.first_tokens(prompt, 1)[0][0]

    def structured(self, prompt: str, schema: Mapping[str, Any]) -> str:
        """An answer that satisfies a schema."""
        if self.text is not None:
            return self.text
        properties: Mapping[str, Any] = schema.get("properties", {})
        chances = votes(prompt)
        if chances and set(properties) == set(chances):
            return json.dumps(chances)
        return json.dumps({name: self.values.get(name) for name in properties})


def votes(prompt: str) -> dict[str, float]:
    """The probability of each letter of a ballot, by the words its tool shares with the task."""
    task, none = _TASK.search(prompt), _NONE.search(prompt)
    tools = dict(_TOOL.findall(prompt))
    if task is None or not tools:
        return {}
    wanted = _words(task[1])
    shared = {letter: len(wanted & _words(tool)) for letter, tool in tools.items()}
    weights = {letter: math.exp(_SHARPNESS * count) for letter, count in shared.items()}
    if none is not None:
        weights[none[1]] = math.exp(_SHARPNESS)
    total = sum(weights.values())
    return {letter: weight / total for letter, weight in weights.items()}


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]+", text.lower().replace("_", " ")) if len(word) > 3}
