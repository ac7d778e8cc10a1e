"""Which tasks most likely follow a task, from what followed it before. Pure: takes values and the time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tool_router.cache.decision_key import normalised
from tool_router.learning.outcome import Outcome

WINDOW_S = 1_800.0
"""A task that comes later than this has nothing to do with the one before."""
HALF_LIFE_S = 7 * 86_400.0
"""After this time what followed counts half: habits change within weeks."""
TASKS = 500
FOLLOWERS = 16
"""Followers remembered for each task."""


@dataclass(slots=True)
class _Weight:
    """A count that fades."""

    value: float = 0.0
    at: float = 0.0

    def add(self, at: float, half_life_s: float) -> None:
        self.value = self.after(at, half_life_s) + 1.0
        self.at = max(self.at, at)

    def after(self, now: float, half_life_s: float) -> float:
        return self.value * 0.5 ** (max(0.0, now - self.at) / half_life_s)


class Successors:
    """Counts which task came after which, and how often each came at all; both fade and are bounded.

    The chance of a follower is interpolated with how frequent it is overall, the more towards the latter the
    less is known of the task (Jelinek and Mercer 1980, with the weight of Witten and Bell 1991).

    Args:
        tasks: how many tasks are remembered; the lightest is forgotten beyond.
        followers: how many followers of each.
        window_s: longest time between two tasks that belong together, in seconds.
        half_life_s: after this time an observation counts half, in seconds.
    """

    def __init__(
        self,
        tasks: int = TASKS,
        followers: int = FOLLOWERS,
        *,
        window_s: float = WINDOW_S,
        half_life_s: float = HALF_LIFE_S,
    ) -> None:
        self._capacity = tasks
        self._followers = followers
        self._window_s = window_s
        self._half_life_s = half_life_s
        self._all: dict[str, _Weight] = {}
        self._after: dict[str, dict[str, _Weight]] = {}
        self._last: tuple[str, float] | None = None

    def __len__(self) -> int:
        return len(self._all)

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        """Observe a history, in any order."""
        for outcome in sorted(outcomes, key=lambda outcome: outcome.at):
            self.observe(outcome.task, outcome.at)

    def observe(self, task: str, at: float) -> None:
        """Note that a task came.

        Args:
            task: what was asked for.
            at: Unix time, in seconds; not earlier than the observation before.
        """
        name = normalised(task)
        if not name:
            return
        self._add(self._all, name, at, self._capacity)
        before, self._last = self._last, (name, at)
        if before is not None and before[0] != name and at - before[1] <= self._window_s:
            self._add(self._after.setdefault(before[0], {}), name, at, self._followers)
        for forgotten in [task for task in self._after if task not in self._all]:
            del self._after[forgotten]

    def likely(self, task: str, now: float, count: int) -> list[tuple[str, float]]:
        """The tasks most likely to follow, the likeliest first, each with its probability.

        Args:
            task: what was asked for last; it is not its own follower.
            now: Unix time, in seconds.
            count: how many at most.
        """
        name = normalised(task)
        overall = self._shares(self._all, now)
        followers = self._after.get(name, {})
        seen = sum(weight.after(now, self._half_life_s) for weight in followers.values())
        trust = seen / (seen + len(followers)) if followers else 0.0
        chances = {other: (1 - trust) * share for other, share in overall.items()}
        for other, share in self._shares(followers, now).items():
            chances[other] = chances.get(other, 0.0) + trust * share
        chances.pop(name, None)
        # Equal chances keep the order in which the tasks were first seen.
        return sorted(chances.items(), key=lambda item: -item[1])[:count]

    def _shares(self, weights: dict[str, _Weight], now: float) -> dict[str, float]:
        faded = {name: weight.after(now, self._half_life_s) for name, weight in weights.items()}
        whole = sum(faded.values())
        return {name: value / whole for name, value in faded.items()} if whole else {}

    def _add(self, weights: dict[str, _Weight], name: str, at: float, capacity: int) -> None:
        weights.setdefault(name, _Weight()).add(at, self._half_life_s)
        if len(weights) > capacity:
            others = (other for other in weights if other != name)
            del weights[min(others, key=lambda other: weights[other].after(at, self._half_life_s))]
