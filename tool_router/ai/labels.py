"""From the log probabilities of an answer's first token to a probability for each label. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from tool_router.errors import ProviderError

MOST_ALTERNATIVES = 20
"""How many alternatives of a token Ollama and OpenAI give at most."""

LEAST_MASS = 0.5
"""What must lie on the labels together; below it the model was about to say something else."""

_DECORATION = " \t\r\n*_`\"'().:[]\u0120\u2581"
"""What stands around a letter in a token: layout, Markdown, quotes, tokenizers' marks for spaces."""

_ROUNDING = 1e-6


def label_probabilities(
    alternatives: Iterable[tuple[str, float]], labels: Sequence[str]
) -> Mapping[str, float]:
    """The probability of each label, normalised to sum to one.

    Args:
        alternatives: (token, natural logarithm of its probability) of the first token of an answer.
        labels: what may be answered; letter case counts.

    Raises:
        ProviderError: ``malformed``: a log probability is no number, or the answer is none of the labels.
    """
    found = dict.fromkeys(labels, 0.0)
    tokens: set[str] = set()
    likeliest, most = "", -math.inf
    for token, logarithm in alternatives:
        if math.isnan(logarithm) or logarithm > _ROUNDING:
            raise ProviderError("malformed", "The model's log probabilities are no probabilities.")
        if token in tokens:
            continue
        tokens.add(token)
        if logarithm > most:
            likeliest, most = token, logarithm
        label = token.strip(_DECORATION)
        if label in found:
            found[label] += math.exp(logarithm)
    mass = sum(found.values())
    if mass < LEAST_MASS:
        said = " ".join(likeliest.split())[:20]
        raise ProviderError("malformed", f"The model answered with {said!r} instead of a label.")
    return {label: probability / mass for label, probability in found.items()}
