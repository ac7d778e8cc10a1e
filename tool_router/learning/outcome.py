"""What became of one decision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a decision turned out, from the weakest evidence to the strongest."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REPLACED = "replaced"
    """The caller asked for the same task again with another tool."""
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One tool that was chosen for one task.

    Attributes:
        id: names the decision; shown in `_meta`, given to `tool-router feedback`.
        at: Unix time, in seconds.
        source: the key of the gateway whose tool it is.
        task: the task, bounded and without secrets.
        category: the task's category.
        tool_id: the tool that was called, or chosen by a person.
        verdict: how it turned out.
        latency_ms: how long the call took.
    """

    id: str
    at: float
    source: str
    task: str
    category: str
    tool_id: str
    verdict: Verdict
    latency_ms: float = 0.0
