"""What is usual: a mean and a variance in which what is past weighs less and less. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

HALF_LIFE_S = 3600.0
"""After an hour of being awake a reading weighs half as much as a new one."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The exponentially weighted mean and variance of one metric.

    Attributes:
        readings: how many it was learned from.
    """

    mean: float = 0.0
    variance: float = 0.0
    readings: int = 0

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.variance)

    def learned(self, value: float, weight: float) -> Baseline:
        """With one more reading.

        The incremental form of West (1979) for weighted mean and variance. The first readings weigh the same,
        so that they give their plain mean and variance; `weight` counts once it is the larger share.

        Args:
            value: the reading.
            weight: the share of a new reading, see `weight_of`.
        """
        share = max(weight, 1 / (self.readings + 1))
        difference = value - self.mean
        step = share * difference
        variance = (1 - share) * (self.variance + difference * step)
        return Baseline(self.mean + step, variance, self.readings + 1)


def weight_of(interval_s: float, half_life_s: float = HALF_LIFE_S) -> float:
    """The share of a new reading, when one comes every `interval_s` seconds."""
    return 1 - 2 ** (-interval_s / half_life_s)
