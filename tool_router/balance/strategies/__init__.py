"""Strategies: which of several targets gets a call. Pure."""

from tool_router.balance.strategies.factory import STRATEGIES, make_strategy
from tool_router.balance.strategies.settings import AdaptiveSettings, ScoreWeights, StrategySettings
from tool_router.balance.strategies.strategy import Strategy, Weighed, Weighing, WeighingStrategy

__all__ = [
    "STRATEGIES",
    "AdaptiveSettings",
    "ScoreWeights",
    "Strategy",
    "StrategySettings",
    "Weighed",
    "Weighing",
    "WeighingStrategy",
    "make_strategy",
]
