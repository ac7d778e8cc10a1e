"""The settings of every strategy."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    """What makes up a performance score. Only their proportions matter.

    Attributes:
        latency, reliability, quality: 0.4, 0.3 and 0.3 by design.
        price: beside them, where any target has a price; else it is left out.
    """

    latency: float = 0.4
    reliability: float = 0.3
    quality: float = 0.3
    price: float = 0.1

    def __post_init__(self) -> None:
        if min(self.latency, self.reliability, self.quality, self.price) < 0:
            raise ValueError("weights must be at least 0")
        if not self.latency + self.reliability + self.quality > 0:
            raise ValueError("one of latency, reliability and quality must weigh more than 0")


@dataclass(frozen=True, slots=True)
class AdaptiveSettings:
    """How the adaptive strategy weighs its factors, and how it learns to weigh them better.

    Attributes:
        load, history, real_time, requirements: the weights it starts with: 25, 30, 30 and 15 by design.
        learning_rate: how far one lesson moves a weight: by at most this share of it; 0 learns nothing.
        threshold: a lesson counts when a factor foretold better or worse than the others by this much, as a
            difference of correlations, in [0, 2].
        least_outcomes: calls that a lesson needs, over all targets.
        lesson_s: seconds between two lessons, at least.
        most_change: a weight stays between its start divided by this and its start times this, before all
            are made to add up to 1 again.

    Raises:
        ValueError: a number is out of its range.
    """

    load: float = 25.0
    history: float = 30.0
    real_time: float = 30.0
    requirements: float = 15.0
    learning_rate: float = 0.1
    threshold: float = 0.2
    least_outcomes: int = 50
    lesson_s: float = 5.0
    most_change: float = 2.0

    def __post_init__(self) -> None:
        if min(self.load, self.history, self.real_time, self.requirements) < 0:
            raise ValueError("weights must be at least 0")
        if not self.load + self.history + self.real_time > 0:
            raise ValueError("one of load, history and real_time must weigh more than 0")
        if not (0 <= self.learning_rate <= 1 and 0 <= self.threshold <= 2):
            raise ValueError("learning_rate must be in [0, 1] and threshold in [0, 2]")
        if self.least_outcomes < 1 or not self.lesson_s > 0 or not self.most_change >= 1:
            raise ValueError("least_outcomes and most_change must be at least 1, lesson_s above 0")


@dataclass(frozen=True, slots=True)
class StrategySettings:
    """What strategies go by.

    Attributes:
        refresh_s: how old scores from the windows may be, in seconds. Calls under way are always counted now.
        explore: share of the calls that scoring strategies spread over all targets, in proportion to their
            weights, so that one that did badly is found when it recovers.
        temperature: how strictly a better score is preferred: one that is better by this much is taken e
            times as often (Boltzmann exploration; Sutton and Barto, "Reinforcement Learning", 2018, section
            2.8).
        score: what makes up a performance score.
        adaptive: of the adaptive strategy.

    Raises:
        ValueError: a number is out of its range.
    """

    refresh_s: float = 0.1
    explore: float = 0.02
    temperature: float = 0.05
    score: ScoreWeights = field(default_factory=ScoreWeights)
    adaptive: AdaptiveSettings = field(default_factory=AdaptiveSettings)

    def __post_init__(self) -> None:
        if not (self.refresh_s >= 0 and 0 <= self.explore <= 1 and self.temperature > 0):
            raise ValueError("refresh_s must be at least 0, explore in [0, 1], temperature above 0")
