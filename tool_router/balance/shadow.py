"""A second strategy beside the first one, which decides without being obeyed. Pure.

It sees the targets as the first strategy leaves them: the calls under way are those that the first one sent.
So the report says what it would have chosen each time, and how the targets that it would have chosen did
under the first strategy, not how they would have done under its own load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tool_router.balance.requirements import CallRequest
from tool_router.balance.strategies.strategy import Strategy
from tool_router.balance.target_state import TargetState

MOST_MOVES = 64
"""Pairs of targets that are counted one by one."""


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What another strategy would have changed.

    Attributes:
        strategy: its name.
        decisions: how many it was shown.
        agreed: how many of them it would have made alike.
        moves: for a pair (taken, chosen by it) how often that happened; at most `MOST_MOVES` pairs.
        other_moves: how often it would have chosen differently beyond these pairs.
        compared: decisions that differed and for which both targets had been measured.
        taken_ms, chosen_ms: over these, the mean response time of the targets that were taken, and of those
            it would have chosen, by their windows at the time of each decision.
        taken_success, chosen_success: the same for the share of calls that succeed.
    """

    strategy: str
    decisions: int
    agreed: int
    moves: Mapping[tuple[str, str], int]
    other_moves: int
    compared: int
    taken_ms: float
    chosen_ms: float
    taken_success: float
    chosen_success: float

    @property
    def changed(self) -> int:
        """Decisions that it would have made differently."""
        return self.decisions - self.agreed

    @property
    def latency_change_ms(self) -> float:
        """What a call that it would have moved takes longer; negative when it is quicker."""
        return self.chosen_ms - self.taken_ms

    @property
    def success_change(self) -> float:
        """How much more often a call that it would have moved succeeds."""
        return self.chosen_success - self.taken_success


class Shadow:
    """Shows every decision to another strategy and counts what it would have changed. Bounded memory.

    Args:
        strategy: decides without being obeyed; not one that is in use as well, for strategies keep state.
    """

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.reset()

    @property
    def strategy(self) -> str:
        """The name of the strategy."""
        return self._strategy.name

    def reset(self) -> None:
        """Begin counting anew."""
        self._decisions = self._agreed = self._other_moves = self._compared = 0
        self._moves: dict[tuple[str, str], int] = {}
        self._taken_ms = self._chosen_ms = 0.0
        self._taken_success = self._chosen_success = 0.0

    def decided(self, targets: Sequence[TargetState], request: CallRequest, taken: int) -> None:
        """Show it a decision, before the call counts as under way.

        Args:
            targets: what could be chosen.
            request: the call.
            taken: the place of the target that was taken.
        """
        chosen = self._strategy.choose(targets, request)
        self._decisions += 1
        if chosen == taken:
            self._agreed += 1
            return
        self._count_move((targets[taken].spec.name, targets[chosen].spec.name))
        self._compare(targets[taken], targets[chosen])

    def report(self) -> ShadowReport:
        """What was counted so far; means are 0.0 while nothing could be compared."""
        compared = self._compared or 1
        return ShadowReport(
            self._strategy.name,
            self._decisions,
            self._agreed,
            dict(self._moves),
            self._other_moves,
            self._compared,
            self._taken_ms / compared,
            self._chosen_ms / compared,
            self._taken_success / compared,
            self._chosen_success / compared,
        )

    def _count_move(self, move: tuple[str, str]) -> None:
        if move in self._moves or len(self._moves) < MOST_MOVES:
            self._moves[move] = self._moves.get(move, 0) + 1
        else:
            self._other_moves += 1

    def _compare(self, taken: TargetState, chosen: TargetState) -> None:
        was, would = taken.window.estimate(), chosen.window.estimate()
        if was.mean_ms is None or would.mean_ms is None:
            return
        self._compared += 1
        self._taken_ms += was.mean_ms
        self._chosen_ms += would.mean_ms
        self._taken_success += was.succeeded / was.requests
        self._chosen_success += would.succeeded / would.requests
