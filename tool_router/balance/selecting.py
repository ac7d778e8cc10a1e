"""The strategy in use and its shadow, either of which may be exchanged at run time."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tool_router.balance.choice import Explanation, decide
from tool_router.balance.requirements import CallRequest
from tool_router.balance.shadow import Shadow, ShadowReport
from tool_router.balance.strategies.factory import make_strategy
from tool_router.balance.strategies.settings import StrategySettings
from tool_router.balance.strategies.strategy import Draw
from tool_router.balance.target_state import TargetState


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
        self.use(strategy, shadow, settings)

    def use(self, strategy: str, shadow: str | None = None, settings: StrategySettings | None = None) -> None:
        """Go by other strategies from now on; both start without memory.

        Raises:
            ValueError: there is no strategy of that name.
        """
        chosen = make_strategy(strategy, settings, self._draw)
        beside = Shadow(make_strategy(shadow, settings, self._draw)) if shadow else None
        self._strategy, self._shadow = chosen, beside

    @property
    def name(self) -> str:
        """The name of the strategy in use."""
        return self._strategy.name

    def choose(self, targets: Sequence[TargetState], request: CallRequest) -> int:
        """The place of the target that gets the call.

        Raises:
            NoTargetFits: none has the labels that the request requires.
        """
        if len(targets) == 1 and not request.labels:
            return 0
        index = self._strategy.choose(targets, request)
        if self._shadow is not None:
            self._shadow.decided(targets, request, index)
        return index

    def explain(self, targets: Sequence[TargetState], request: CallRequest) -> Explanation:
        """What would be chosen now, and why.

        Raises:
            NoTargetFits: none has the labels that the request requires.
        """
        return decide(self._strategy, targets, request).explain()

    def shadow_report(self) -> ShadowReport | None:
        """What the second strategy would have changed so far; None without one."""
        return self._shadow.report() if self._shadow is not None else None
