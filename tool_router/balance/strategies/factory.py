"""Strategies by name."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from tool_router.balance.strategies.combined import AdaptiveSum, ByWeightedSum, HybridSum
from tool_router.balance.strategies.place import InRegion, ServingModel
from tool_router.balance.strategies.plain import Chance, LeastLoaded, Turns, TwoChoices
from tool_router.balance.strategies.scored import ByPerformance
from tool_router.balance.strategies.settings import StrategySettings
from tool_router.balance.strategies.strategy import Draw, Picker, RuledStrategy, WeighingStrategy

_PICKERS: Mapping[str, Callable[[StrategySettings, Draw], Picker]] = MappingProxyType(
    {
        "round_robin": lambda settings, draw: Turns(weighted=False),
        "weighted": lambda settings, draw: Turns(weighted=True),
        "random": lambda settings, draw: Chance(draw),
        "least_loaded": lambda settings, draw: LeastLoaded(draw),
        "power_of_two": lambda settings, draw: TwoChoices(draw),
        "performance": lambda settings, draw: ByPerformance(settings, draw),
        "affinity": lambda settings, draw: ByPerformance(settings, draw, by_category=True),
        "geo": lambda settings, draw: InRegion(draw, settings.explore),
        "model": lambda settings, draw: ServingModel(draw),
        "hybrid": lambda settings, draw: ByWeightedSum(HybridSum(settings), settings, draw),
        "adaptive": lambda settings, draw: ByWeightedSum(AdaptiveSum(settings), settings, draw),
    }
)

STRATEGIES = tuple(_PICKERS)
"""The names of all strategies."""


def make_strategy(
    name: str, settings: StrategySettings | None = None, draw: Draw = random.random
) -> WeighingStrategy:
    """A new strategy, which knows nothing of what another one did before.

    Args:
        name: one of `STRATEGIES`.
        settings: what it goes by; the defaults when None.
        draw: a random number in [0, 1).

    Raises:
        ValueError: there is no strategy of that name.
    """
    make = _PICKERS.get(name)
    if make is None:
        raise ValueError(f"There is no strategy named {name!r}; there are: {', '.join(STRATEGIES)}.")
    settings = settings or StrategySettings()
    return RuledStrategy(name, make(settings, draw), settings, draw)
