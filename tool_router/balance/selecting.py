"""The strategy in use and its shadow, either of which may be exchanged at run time."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tool_router.balance.choice import Choice, Explanation, decide
from tool_router.balance.requirements import CallRequest
from tool_router.balance.shadow import Shadow, ShadowReport
from tool_router.balance.strategies.factory import make_strategy
from tool_router.balance.strategies.settings import StrategySettings
from tool_router.balance.strategies.strategy import Draw
from tool_router.balance.target_state import TargetState
from tool_router.errors import NoTargetFits


class Selecting:
    """Chooses by a strategy, and shows each choice to a second one that is not obeyed.

    Args:
        strategy: the name of the strategy.
        shadow: the name of the second one; None has none.
        settings: what both go by.
        draw: a random number in [0, 1).

    Raises:
        ValueError: there is no strategy of that name.
    """

    def __init__(
        self,
        strategy: str = "hybrid",
        shadow: str | None = None,
        settings: StrategySettings | None = None,
        draw: Draw = random.random,
    ) -> None:
        self._draw = draw
        self._last: Choice | None = None
        self.use(strategy, shadow, settings)

    def use(self, strategy: str, shadow: str | None = None, settings: StrategySettings | None = None) -> None:
        """Go by other strategies from now on; both start without memory.

        Raises:
            ValueError: there is no strategy of that name.
        """
        chosen = make_strategy(strategy, settings, self._draw)
        beside = Shadow(make_strategy(shadow, settings, self._draw)) if shadow else None
        self._strategy, self._shadow, self._last = chosen, beside, None

    @property
    def name(self) -> str:
        """The name of the strategy in use."""
        return self._strategy.name

    def choose(self, targets: Sequence[TargetState], request: CallRequest) -> int:
        """The place of the target that gets the call. The targets must not be changed as a sequence later.

        Raises:
            NoTargetFits: none has the labels that the request requires.
        """
        self._last = choice = decide(self._strategy, targets, request)
        if self._shadow is not None:
            self._shadow.decided(targets, request, choice.index)
        return choice.index

    def explanation(self) -> Explanation | None:
        """Why the latest choice was made, by what is known now; None before the first."""
        try:
            return self._last.explain() if self._last is not None else None
        except NoTargetFits:
            # The labels of its targets have changed since.
            return None

    def shadow_report(self) -> ShadowReport | None:
        """What the second strategy would have changed so far; None without one."""
        return self._shadow.report() if self._shadow is not None else None
