"""The words of a task as one short vector, so that tasks can be compared without any model. Pure."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from tool_router.scoring.text import terms, without_values
from tool_router.scoring.vocabulary import FUNCTION_TERMS

DIMENSION = 512
"""Words share places by their hash (feature hashing, Weinberger et al. 2009); tasks have some ten words, so
few of them meet."""

MAX_TERMS = 200


def task_words(task: str) -> NDArray[np.float32]:
    """A unit vector of the task's content words, values left out; zeros for a task without any."""
    vector = np.zeros(DIMENSION, np.float32)
    for term in set(terms(without_values(task))[:MAX_TERMS]) - FUNCTION_TERMS:
        key = zlib.crc32(term.encode())
        # The sign makes words that share a place cancel out on average instead of adding up.
        vector[key % DIMENSION] += 1.0 if key & 0x10000 else -1.0
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector
