"""What a caller's next call says about the one before. Pure: takes a clock.

A second call for the same task with another tool means that the first choice was wrong and the second right;
a tool that the caller picks after an unsure answer is right as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TTLCache

from tool_router.learning.outcome import Verdict

WINDOW_S = 600.0
"""A call later than this is a new task in the same words."""
_KEPT = 256


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What a call says.

    Attributes:
        verdict: of the call itself.
        replaced: the id of the earlier outcome that it corrects; None when there is none.
    """

    verdict: Verdict
    replaced: str | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    outcome_id: str | None
    tool_id: str | None


class FollowUps:
    """Remembers the latest answer to each task for a while."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._answers = TTLCache[str, _Answer, float](_KEPT, WINDOW_S, clock)

    def unsure(self, task: str) -> None:
        """Note that the task was answered with candidates."""
        self._answers[_key(task)] = _Answer(None, None)

    def called(self, task: str, tool_id: str, outcome_id: str, *, named: bool, failed: bool) -> FollowUp:
        """Say what a call means, and remember it.

        Args:
            task: the request's task.
            tool_id: the tool that was called.
            outcome_id: names this call's outcome.
            named: whether the caller named the tool.
            failed: whether the tool reported an error.
        """
        before = self._answers.get(_key(task))
        self._answers[_key(task)] = _Answer(outcome_id, tool_id)
        plain = Verdict.FAILED if failed else Verdict.SUCCEEDED
        if before is None or not named:
            return FollowUp(plain)
        replaced = before.outcome_id if before.tool_id not in (None, tool_id) else None
        chosen = before.tool_id is None or replaced is not None
        return FollowUp(Verdict.GOOD if chosen and not failed else plain, replaced)


def _key(task: str) -> str:
    return " ".join(task.casefold().split())
