"""Which target gave an answer that was later judged: what quality is measured by."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cachetools import LRUCache

from tool_router.balance.pool import Pool
from tool_router.learning.outcome import Verdict

KEPT = 1_000
"""Answers whose target is remembered."""

WORTH: Mapping[Verdict, float] = MappingProxyType({Verdict.GOOD: 1.0, Verdict.BAD: 0.0})
"""The quality that a person's verdict gives; that a tool was the wrong one says nothing of its target."""


class Ratings:
    """Passes verdicts on to the target that answered.

    Args:
        pool: the targets.
    """

    def __init__(self, pool: Pool[Any]) -> None:
        self._pool = pool
        self._answers = LRUCache[str, tuple[str, str]](KEPT)

    def answered(self, outcome_id: str, target: str, category: str) -> None:
        """Remember which target gave an answer to a task of a category."""
        self._answers[outcome_id] = (target, category)

    def judged(self, outcome_id: str, verdict: Verdict) -> None:
        """Rate the target of an answer; each answer is rated once."""
        quality = WORTH.get(verdict)
        if quality is None or outcome_id not in self._answers:
            return
        name, category = self._answers.pop(outcome_id)
        for member in self._pool.members():
            if member.name == name:
                member.state.window.feedback(quality, category)
